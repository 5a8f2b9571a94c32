"""What a model says of itself: for the manifest, and for checks against a host.

Reads the headers of safetensors and GGUF files (and so finds untrue ones) and
`config.json`; no weights.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sealift_manifests.errors import SourceContentError

from .files import ModelFile
from .gguf import gguf_weights, read_headers
from .safetensors_header import SafetensorsHeader, read_header

_JSON_LIMIT = 64 << 20
_INDEX = "model.safetensors.index.json"
_COUNTS = (
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_size",
    "max_position_embeddings",
)
_HINT = "Fetch the file again, or take another commit of the model."


def model_facts(files: Iterable[ModelFile]) -> dict[str, Any]:
    """Return facts for JSON: `bytes`, `parameters`, `dtypes` (-> count), `config`.

    `parameters` counts stored elements of the weights a server loads: of packed
    formats (GPTQ, AWQ, FP4 in U8) that is fewer than the model has. What config.json
    leaves out is left out here. Raises SourceContentError for an untrue header, for
    missing shards, and for a config.json that is not JSON.
    """
    present = {file.path: file for file in files}
    headers = {
        path: _header(file)
        for path, file in sorted(present.items())
        if file.suffix == ".safetensors"
    }
    dtypes: Counter[str] = Counter()
    for path in loaded_weights(present, sorted(headers)):
        for tensor in headers[path].tensors:
            dtypes[tensor.dtype] += tensor.count
    if not headers:
        dtypes = _gguf_dtypes(present)
    return {
        "bytes": sum(file.size for file in present.values()),
        "parameters": sum(dtypes.values()),
        "dtypes": dict(sorted(dtypes.items())),
        "config": _config_facts(present.get("config.json")),
    }


def _gguf_dtypes(present: dict[str, ModelFile]) -> Counter[str]:
    """Count the elements of the one GGUF model there is; of choices none is counted."""
    models = gguf_weights(present, read_headers(present.values()))
    dtypes: Counter[str] = Counter()
    for header in models[0].headers if len(models) == 1 else ():
        for tensor in header.tensors:
            dtypes[tensor.dtype or "unknown"] += tensor.count
    return dtypes


def _header(file: ModelFile) -> SafetensorsHeader:
    with file.open() as stream:
        return read_header(stream, file.size, file.path)


def loaded_weights(
    files: dict[str, ModelFile], weights: Sequence[str]
) -> Sequence[str]:
    """Return which weight files a server loads, not the same weights twice.

    Some repos carry a second copy (`consolidated.safetensors`) beside the shards.
    """
    shards = _shards(files[_INDEX]) if _INDEX in files else set()
    there = sorted(shards & set(weights))
    if there and len(there) < len(shards):
        missing = sorted(shards - set(weights))
        raise SourceContentError(
            f"{_INDEX} names {len(missing)} weight files that are not there: "
            + ", ".join(missing[:10]),
            hint="Fetch them, or correct `allow` and `ignore` of this model: without "
            "them no server can load it.",
        )
    at_the_top = [path for path in weights if "/" not in path]
    return there or at_the_top or weights


def _shards(index: ModelFile) -> set[str]:
    shards = json_object(index).get("weight_map")
    if not isinstance(shards, dict) or not all(
        isinstance(name, str) for name in shards.values()
    ):
        raise SourceContentError(f"{index.path} has no weight_map", hint=_HINT)
    return set(shards.values())


def _config_facts(file: ModelFile | None) -> dict[str, Any]:
    if file is None:
        return {}
    whole = json_object(file)
    inner = whole.get("text_config")
    # A multimodal model keeps what sizes its KV cache in the text part.
    layers = [inner, whole] if isinstance(inner, dict) else [whole]
    found: dict[str, Any] = {}
    names = whole.get("architectures")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        found["architectures"] = names
    if isinstance(whole.get("model_type"), str):
        found["model_type"] = whole["model_type"]
    for key in _COUNTS:
        count = next((c[key] for c in layers if _is_count(c.get(key))), None)
        if count is not None:
            found[key] = count
    for config in reversed(layers):
        found |= _storage_facts(config)
    return found


def _storage_facts(config: dict[str, Any]) -> dict[str, str]:
    """Return `dtype` and `quant_method`, where stated."""
    found: dict[str, str] = {}
    # transformers 5 writes `dtype`; before it was `torch_dtype`.
    for dtype in (config.get("dtype"), config.get("torch_dtype")):
        if isinstance(dtype, str):
            found.setdefault("dtype", dtype)
    quantization = config.get("quantization_config")
    if isinstance(quantization, dict):
        method = quantization.get("quant_method")
        if isinstance(method, str):
            found["quant_method"] = method
    return found


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def json_object(file: ModelFile) -> dict[str, Any]:
    """Return what a JSON file says; raise SourceContentError if that is no object."""
    if file.size > _JSON_LIMIT:
        raise SourceContentError(
            f"{file.path} has {file.size} bytes, too many for a description of a model",
            hint=_HINT,
        )
    try:
        value = json.loads(file.read_start(_JSON_LIMIT + 1))
    except (ValueError, RecursionError) as error:
        raise SourceContentError(
            f"{file.path} is not JSON ({error})", hint=_HINT
        ) from error
    if not isinstance(value, dict):
        raise SourceContentError(f"{file.path} is not a JSON object", hint=_HINT)
    return value
