"""Which server a service runs, and how its options size it.

Knows vLLM, TGI, llama.cpp and Ollama, by the options and variables they document.
What an option says in a way that is not known stays None, as if it were not given; of
one whose value is not known, such as a variable of the host, nothing is taken.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from sealift_manifests.preflight.needs import ALL
from sealift_manifests.serving.words import Options, Word

_SHELLS = ("sh", "bash", "dash", "ash")
_HUMAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKmMgGtT]?)\Z")
_POWERS = "kmgt"
_LARGEST = 1 << 50
_PROGRAMS = {
    "vllm": "vllm",
    "text-generation-launcher": "tgi",
    "tgi-entrypoint.sh": "tgi",
    "llama-server": "llama.cpp",
    "ollama": "ollama",
}
_MODULES = (("vllm.", "vllm"), ("llama_cpp.server", "llama.cpp"))
_CONTEXT = "LLAMA_ARG_CTX_SIZE"
_GPU_LAYERS = ("-ngl", "--gpu-layers", "--n-gpu-layers")
_CPU_OPTIONS = (
    *("-ot", "--override-tensor", "-cmoe", "--cpu-moe", "-ncmoe", "--n-cpu-moe"),
    *("-nkvo", "--no-kv-offload"),
)
_CPU_VARIABLES = (
    *("LLAMA_ARG_OVERRIDE_TENSOR", "LLAMA_ARG_CPU_MOE", "LLAMA_ARG_N_CPU_MOE"),
    *("LLAMA_ARG_NO_KV_OFFLOAD",),
)
"""What makes unknown how much of a model the GPUs hold."""

_SIZING_OPTIONS = (
    *("--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp", "--config"),
    *("--max-model-len", "--gpu-memory-utilization", "--kv-cache-dtype", "--num-shard"),
    *("--kv-cache-memory-bytes", "--max-num-batched-tokens", "--max-total-tokens"),
    *("--cuda-memory-fraction", "--max-batch-prefill-tokens", "-c", "--ctx-size"),
    *("--n-ctx", "-np", "--parallel", "-ctk", "--cache-type-k", "-ctv"),
    *("--cache-type-v", *_GPU_LAYERS),
)
_SIZING_VARIABLES = re.compile(
    r"(?:LLAMA_ARG_|OLLAMA_(?:CONTEXT_LENGTH|NUM_PARALLEL|KV_CACHE_TYPE)|NUM_SHARD\Z"
    r"|MAX_TOTAL_TOKENS\Z|MAX_BATCH_PREFILL_TOKENS\Z|CUDA_MEMORY_FRACTION\Z"
    r"|KV_CACHE_DTYPE\Z)"
)


@dataclass(frozen=True)
class Started:
    """What a container starts: its words, and its whole environment.

    `files` are the options in mounted files that hold options, by their path there;
    `folder` is its working directory, "" where that is not known.
    """

    words: Tuple[Word, ...]
    environment: Mapping[str, Word]
    files: Mapping[str, Tuple[Word, ...]] = field(default_factory=dict)
    folder: str = ""

    @property
    def options(self) -> Options:
        """Its options; those inside of `sh -c` too."""
        return Options(plain_words(self.words))


def server_of(words: Sequence[Word]) -> str:
    """Return which server these words start, "other" for one that is not known."""
    for word in plain_words(words):
        name = posixpath.basename(word or "")
        if name in _PROGRAMS:
            return _PROGRAMS[name]
        for start, server in _MODULES:
            if (word or "").startswith(start):
                return server
    return "other"


def plain_words(words: Sequence[Word]) -> Tuple[Word, ...]:
    """Return the words, with those of a script given to a shell by `-c`.

    What stands after the script is its name and then its arguments, "$@".
    """
    for number, word in enumerate(words[:-1]):
        if posixpath.basename(word or "") in _SHELLS:
            flag, script = words[number + 1], words[number + 2 : number + 3]
            if (flag or "").startswith("-") and (flag or "").endswith("c") and script:
                try:
                    found = shlex.split(script[0] or "", comments=True)
                except ValueError:
                    return (None,)
                return (*words[:number], *_with_arguments(found, words[number + 4 :]))
    return tuple(words)


def _with_arguments(script: Sequence[str], arguments: Sequence[Word]) -> Iterator[Word]:
    for word in script:
        if word == "$@":
            yield from arguments
        else:
            yield word


def sizing(server: str, started: Started) -> Dict[str, Any]:
    """Return the fields of ServiceNeeds that a server's options give.

    Its `server` is "other" where an option that sizes it has a value nobody knows: the
    default in its place would be a guess.
    """
    reader = _READERS.get(server)
    if reader is None:
        return {}
    found = reader(started) if _are_known(started) else {"server": "other"}
    return {name: value for name, value in found.items() if value is not None}


def _are_known(started: Started) -> bool:
    options, environment = started.options, started.environment
    if not options.are_known:
        return False
    if any(options.value(name) == (True, None) for name in _SIZING_OPTIONS):
        return False
    return not any(
        value is None and _SIZING_VARIABLES.match(name)
        for name, value in environment.items()
    )


def vllm_words(started: Started) -> Optional[Tuple[Word, ...]]:
    """Return the words of vLLM, with the options of its `--config` file.

    None where that file cannot be read here.
    """
    words = plain_words(started.words)
    has_file, file = Options(words).value("--config")
    if not has_file:
        return words
    path = posixpath.normpath(posixpath.join(started.folder, file or ""))
    read = started.files.get(path)
    # Of what is given in both, the command line counts.
    return None if read is None else (*read, *words)


def _vllm(started: Started) -> Dict[str, Any]:
    words = vllm_words(started)
    if words is None:
        return {"server": "other"}
    options = Options(words)
    length_given, length = options.value("--max-model-len")
    if length_given and length in ("auto", "-1"):
        # vLLM takes the longest that fits, so the shortest has to.
        length = "1"
    dtype = options.value("--kv-cache-dtype")[1]
    return {
        "tensor_parallel": _count(options.value("--tensor-parallel-size", "-tp")[1]),
        "pipeline_parallel": _count(
            options.value("--pipeline-parallel-size", "-pp")[1]
        ),
        "max_model_len": _human(length),
        "memory_thousandths": _thousandths(
            options.value("--gpu-memory-utilization")[1]
        ),
        "kv_dtype": dtype.lower() if dtype else None,
        "kv_cache_size": _human(options.value("--kv-cache-memory-bytes")[1]),
        "max_batched_tokens": _human(options.value("--max-num-batched-tokens")[1]),
        "enforce_eager": options.flag("--enforce-eager"),
        "compat_on": _on(started.environment.get("VLLM_ENABLE_CUDA_COMPATIBILITY")),
    }


def _tgi(started: Started) -> Dict[str, Any]:
    def given(option: str, variable: str) -> Word:
        there, value = started.options.value(option)
        return value if there else started.environment.get(variable)

    return {
        "tensor_parallel": _count(given("--num-shard", "NUM_SHARD")),
        "max_model_len": _count(given("--max-total-tokens", "MAX_TOTAL_TOKENS")),
        "max_batched_tokens": _count(
            given("--max-batch-prefill-tokens", "MAX_BATCH_PREFILL_TOKENS")
        ),
        "memory_thousandths": _thousandths(
            given("--cuda-memory-fraction", "CUDA_MEMORY_FRACTION")
        ),
        "kv_dtype": given("--kv-cache-dtype", "KV_CACHE_DTYPE"),
    }


def _llama_cpp(started: Started) -> Dict[str, Any]:
    environment, options = started.environment, started.options

    def given(variable: str, *names: str) -> Word:
        there, value = options.value(*names)
        return value if there else environment.get(variable)

    whole = _count(given(_CONTEXT, "-c", "--ctx-size", "--n-ctx"))
    slots = _count(given("LLAMA_ARG_N_PARALLEL", "-np", "--parallel"))
    keys = given("LLAMA_ARG_CACHE_TYPE_K", "-ctk", "--cache-type-k")
    values = given("LLAMA_ARG_CACHE_TYPE_V", "-ctv", "--cache-type-v")
    return {
        # The context is that of all slots together.
        "max_model_len": -(-whole // (slots or 1)) if whole else None,
        "slots": slots,
        "kv_dtype": keys or ("f16" if values else None),
        "value_dtype": values or ("f16" if keys else None),
        "gpu_layers": _layers(given("LLAMA_ARG_N_GPU_LAYERS", *_GPU_LAYERS)),
        "tensors_on_cpu": _keeps_on_cpu(options, environment) or None,
    }


def _layers(text: Word) -> Optional[int]:
    """Return how many layers go on GPUs; None where llama.cpp finds it out itself."""
    if text == "all":
        return ALL
    return int(text or "") if re.fullmatch(r"[0-9]{1,6}", text or "") else None


def _keeps_on_cpu(options: Options, environment: Mapping[str, Word]) -> bool:
    """Tell whether an option keeps something off the GPUs by its name or kind."""
    return any(options.value(name)[0] for name in _CPU_OPTIONS) or any(
        environment.get(name) for name in _CPU_VARIABLES
    )


def _ollama(started: Started) -> Dict[str, Any]:
    environment = started.environment
    return {
        "max_model_len": _count(environment.get("OLLAMA_CONTEXT_LENGTH")),
        "slots": _count(environment.get("OLLAMA_NUM_PARALLEL")),
        "kv_dtype": environment.get("OLLAMA_KV_CACHE_TYPE"),
    }


_READERS: Mapping[str, Callable[[Started], Dict[str, Any]]] = {
    "vllm": _vllm,
    "tgi": _tgi,
    "llama.cpp": _llama_cpp,
    "ollama": _ollama,
}


def _on(text: Word) -> Optional[bool]:
    return None if text is None else text.strip().lower() in ("1", "true")


def _count(text: Word) -> Optional[int]:
    if not re.fullmatch(r"[0-9]{1,12}", text or ""):
        return None
    return int(text or "") or None


def _human(text: Word) -> Optional[int]:
    """Return a number as vLLM reads it: 32k is 32000, 32K is 32768."""
    match = _HUMAN.match(text or "")
    if not match:
        return None
    power = _POWERS.find(match[2].lower()) + 1 if match[2] else 0
    base = 1024 if match[2].isupper() else 1000
    number = int(Decimal(match[1]) * base**power)
    return number if 0 < number < _LARGEST else None


def _thousandths(text: Word) -> Optional[int]:
    try:
        share = Decimal(text or "")
    except InvalidOperation:
        return None
    return int(share * 1000) if 0 < share <= 1 else None
