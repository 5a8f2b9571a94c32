"""Causes by what servers and engines say: patterns, what they mean, what to do.

A rule's texts name groups of its patterns; the first text whose groups are all there
is said. A general rule counts only where no other has matched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Pattern, Tuple

_SIZE = r"[0-9.]+ ?(?:[KMGT]i?B|bytes)"


@dataclass(frozen=True)
class Rule:
    """A cause: where it is looked for (`log`, `engine`), and how it is told."""

    slug: str
    patterns: Tuple[Pattern[str], ...]
    whats: Tuple[str, ...]
    remedy: str
    sources: Tuple[str, ...] = ("log",)
    is_general: bool = False


def _rule(
    slug: str,
    patterns: Tuple[str, ...],
    whats: Tuple[str, ...],
    remedy: str,
    *,
    sources: Tuple[str, ...] = ("log",),
    is_general: bool = False,
) -> Rule:
    compiled = tuple(re.compile(each, re.IGNORECASE) for each in patterns)
    return Rule(slug, compiled, whats, remedy, sources, is_general)


RULES: Tuple[Rule, ...] = (
    _rule(
        "gpu-memory-full",
        (
            rf"CUDA out of memory\. Tried to allocate (?P<wanted>{_SIZE})\.? "
            rf"GPU (?P<gpu>\d+) has a total capaci?ty of (?P<total>{_SIZE}) of which "
            rf"(?P<free>{_SIZE}) is free",
            rf"CUDA out of memory\. Tried to allocate (?P<wanted>{_SIZE}) "
            rf"\(GPU (?P<gpu>\d+); (?P<total>{_SIZE}) total capacity; "
            rf"{_SIZE} already allocated; (?P<free>{_SIZE}) free",
            rf"allocating (?P<wanted>{_SIZE}) on device (?P<gpu>\d+): "
            r"cudaMalloc failed: out of memory",
            r"CUDA out of memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY"
            r"|cudaMalloc failed: out of memory",
        ),
        (
            "GPU {gpu} has no room: {wanted} more were wanted, {free} of {total} are "
            "free",
            "GPU {gpu} has no room: {wanted} more were wanted",
            "a GPU has no room for what the server wants",
        ),
        "End what else uses that GPU (`nvidia-smi`), or let the server take less in "
        "the next bundle: a shorter context, fewer requests at a time, a smaller share "
        "of the memory, more GPUs, or a smaller or quantized model.",
    ),
    _rule(
        "gpu-memory-busy",
        (
            r"Free memory on device\s?\S* \((?P<free>[0-9.]+)/(?P<total>[0-9.]+) GiB\) "
            r"on startup is less than desired GPU memory utilization "
            r"\((?P<share>[0-9.]+), (?P<wanted>[0-9.]+) GiB\)",
        ),
        (
            "of the GPU's {total} GiB only {free} are free, and vLLM wants {wanted} "
            "(a share of {share})",
        ),
        "End what else uses that GPU (`nvidia-smi`), or lower "
        "--gpu-memory-utilization.",
    ),
    _rule(
        "context-too-long",
        (
            r"max seq len \((?P<length>\d+)\), \((?P<wanted>[0-9.]+ GiB) KV cache is "
            r"needed, which is larger than the available KV cache memory "
            r"\((?P<free>[0-9.]+ GiB)\)\.(?: Based on the available memory, the "
            r"estimated maximum model length is (?P<most>\d+))?",
            r"max seq len \((?P<length>\d+)\) is larger than the maximum number of "
            r"tokens that can be stored in KV cache \((?P<most>\d+)\)",
            r"No available memory for the cache blocks",
        ),
        (
            "a context of {length} tokens needs {wanted} of KV cache, and {free} are "
            "left beside the weights: enough for {most} tokens",
            "a context of {length} tokens needs {wanted} of KV cache, and {free} are "
            "left beside the weights",
            "a context of {length} tokens does not fit: the KV cache takes {most}",
            "no GPU memory is left for the KV cache",
        ),
        "Lower --max-model-len, raise --gpu-memory-utilization, or spread the model "
        "over more GPUs (--tensor-parallel-size), in the next bundle.",
    ),
    _rule(
        "shared-memory-too-small",
        (
            r"insufficient shared memory \(shm\)",
            r"Error while creating shared memory segment",
            r"NCCL WARN .*posix_fallocate failed ?: No space left on device",
            r"/dev/shm\S*.{0,80}No space left on device",
            r"No space left on device.{0,80}/dev/shm",
            r"\bBus error\b",
        ),
        ("the container's shared memory, /dev/shm, is too small",),
        "Give the service a larger `shm_size`, such as 8g, in the next bundle: what "
        "runs on several GPUs needs it.",
    ),
    _rule(
        "weights-code-not-trusted",
        (
            r"(?:contains custom code which must be executed|requires you to execute "
            r"the \w+ file in that repo)",
            r"set the option `?trust_remote_code=True`?|pass the argument "
            r"`?trust_remote_code=True`?",
        ),
        ("the model brings code of its own, and the server may not run it",),
        "If that code was reviewed, give the server --trust-remote-code in the next "
        "bundle, and carry the model's .py files (`allow: [code]`).",
    ),
    _rule(
        "server-too-old",
        (
            r"model type `?(?P<model>[\w.-]+)`? but Transformers does not recognize "
            r"this architecture",
            r"Model architectures \[(?P<model>[^\]]{1,100})\] (?:are not supported"
            r"|failed to be inspected)",
            r"unknown model architecture: '(?P<model>[^']{1,100})'",
            r"Tokenizer class (?P<model>\w+) does not exist or is not currently "
            r"imported",
        ),
        ("the server does not know {model}: it is older than the model",),
        "Take a newer image of the server into the next bundle.",
    ),
    _rule(
        "model-not-found",
        (
            r"(?P<path>\S+) is not a local folder and is not a valid model identifier",
            r"(?P<path>\S+) does not appear to have a file named",
            r"Repo id must be in the form .*?: '(?P<path>[^']+)'",
            r"failed to open GGUF file '?(?P<path>[^'\s]+)'?",
            r"failed to load model from (?P<path>\S+)",
            r"error loading model: .*?(?P<path>/\S+)",
            r"model ['\"](?P<path>[^'\"]+)['\"] not found",
            r"No such file or directory: '(?P<path>[^']+\.(?:gguf|safetensors|json))'",
        ),
        ("the server does not find its model: {path}",),
        "Compare that with what is mounted (`status` has the models' places): the "
        "path in the command must be that of the volume's target, and the name that "
        "of the model.",
    ),
    _rule(
        "wants-network",
        (
            r"OfflineModeIsEnabled|outgoing traffic has been disabled"
            r"|LocalEntryNotFoundError",
            r"couldn't connect to '?https?://(?P<name>[\w.-]+)",
            r"Failed to resolve '(?P<name>[\w.-]+)'",
            r"HTTPSConnectionPool\(host='(?P<name>[\w.-]+)'",
            r"dial tcp: lookup (?P<name>[\w.-]+)",
            r"Temporary failure in name resolution|Could not resolve host",
        ),
        (
            "it wants to fetch something from {name}, and here is no network",
            "it wants to fetch something from outside, and here is no network",
        ),
        "Carry what it wants: the whole model in the layout that the server looks for "
        "(layout hf-cache with HF_HUB_CACHE, or a path), and the server's switches for "
        "running offline. `sealift rehearse` shows it before the trip.",
    ),
    _rule(
        "port-taken",
        (
            r"Bind for \S*?(?P<port>\d+) failed: port is already allocated",
            r"listen tcp\d? \S*?(?P<port>\d+): bind: address already in use",
            r"failed to bind host port (?:for )?\S*?:(?P<port>\d+)(?::\S+)?/tcp: "
            r"address already in use",
        ),
        ("port {port} of this host is taken by somebody else",),
        "See who has it (`ss -ltnp 'sport = :{port}'`) and end that, or publish "
        "another port.",
        sources=("engine",),
    ),
    _rule(
        "address-in-use",
        (
            r"error while attempting to bind on address \('[^']*', (?P<port>\d+)\)",
            r"couldn't bind (?:HTTP server )?socket.*?port: ?(?P<port>\d+)",
            r"listen tcp\d? \S*?:(?P<port>\d+): bind: address already in use",
            r"Address already in use",
        ),
        (
            "port {port} inside the container is taken already",
            "the server's port inside the container is taken already",
        ),
        "Two programs in one container, or two services with `network_mode: host`, "
        "want the same port: give one of them another.",
    ),
    _rule(
        "argument-unknown",
        (
            r"error: unrecognized arguments: (?P<argument>.+)",
            r"error: unexpected argument '(?P<argument>[^']+)' found",
            r"error: invalid argument: (?P<argument>\S+)",
            r"unknown (?:shorthand )?flag: (?P<argument>\S+)",
        ),
        ("the server does not know the argument {argument}",),
        "Compare the command with the documents of that version of the server.",
    ),
    _rule(
        "wrong-architecture",
        (r"exec format error",),
        ("its program is for another kind of CPU than this host's",),
        "Build the bundle for the platform of this host (`platform:` in the spec).",
        sources=("log", "engine"),
    ),
    _rule(
        "program-missing",
        (
            r"exec: \\?\"(?P<program>[^\"\\]+)\\?\": (?:executable file not found"
            r"|stat \S+: no such file)",
        ),
        ("the image has no program {program}",),
        "Compare the service's `command` and `entrypoint` with the image.",
        sources=("engine",),
    ),
    _rule(
        "mount-missing",
        (r"bind source path does not exist: (?P<path>\S+)",),
        ("{path}, which the service mounts, is not on this host",),
        "Make it, or take the mount out of the stack.",
        sources=("engine",),
    ),
    _rule(
        "permission-denied",
        (
            r"Permission denied(?: \(os error 13\))?: ['\"](?P<path>/[^'\"]+)",
            r"(?:open|mkdir|stat) (?P<path>/[^\s:]+): permission denied",
            r"(?P<path>/[^\s:'\"]+)['\"]?: Permission denied",
            r"PermissionError|permission denied",
        ),
        (
            "the service's user may not use {path}",
            "the service's user may not use a file or directory",
        ),
        "Models are mounted read-only, readable by everybody: caches and data need a "
        "volume or tmpfs of their own that the service's user may write to.",
    ),
    _rule(
        "disk-full",
        (r"No space left on device", r"\bENOSPC\b", r"Disk quota exceeded"),
        ("a disk is full",),
        "See which (`df -h`): the engine's data directory, or a volume. `prune` frees "
        "old releases; logs grow without `max-size`.",
        sources=("log", "engine"),
        is_general=True,
    ),
)
"""The narrow ones come first."""
