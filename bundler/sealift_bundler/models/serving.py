"""What sizes a model in GPU memory: from config.json, GGUF headers and file sizes.

Reads no weights, so that it works before they are fetched; a GGUF header only where
the file is here. What they do not say, and what is not known of an architecture, is
None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sealift_manifests.preflight.needs import DtypeSize, ModelNeeds

from .attention import layer_kinds
from .facts import json_object, loaded_weights
from .files import ModelFile
from .gguf import GgufWeights, gguf_weights, read_headers
from .gguf_header import TENSOR_TYPES
from .gguf_shape import gguf_shape

INDEX = "model.safetensors.index.json"
SMALL_FILES = ("config.json", INDEX)
"""The files that `serving_needs` reads; of all others it takes the size."""

_DTYPE_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("BF16", "F16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
    "F4": 4,
}
"""Bits of an element, by the dtype names of safetensors."""

_BLOCKS = {name: (count, size) for name, count, size in TENSOR_TYPES.values()}
"""Elements and bytes of a block, by the type names of GGUF."""

_INNER = ("text_config", "llm_config", "language_config")
_LARGEST = 1 << 40
_KV_HEADS = (
    "n_head_kv",
    "num_kv_heads",
    "num_key_value_heads",
    "multi_query_group_num",
)
_OLD_WEIGHTS = re.compile(r"pytorch_model(?:-[0-9]+-of-[0-9]+)?\.bin\Z")
# With these kinds the position limit of the config is already the stretched one.
_ROPE_AS_STATED = ("default", "llama3", "su", "longrope", "mrope", "dynamic", "")


def serving_needs(
    name: str, files: Iterable[ModelFile], dtypes: Mapping[str, int] | None = None
) -> ModelNeeds:
    """Return what a model asks for. `dtypes` counts the elements of its weights."""
    present = {file.path: file for file in files}
    models = gguf_weights(present, read_headers(present.values()))
    weights_size, kind = _weights(present, models)
    config = present.get("config.json")
    found = _shape(json_object(config)) if config else {}
    if kind == "gguf" and len(models) == 1 and models[0].first:
        # What llama.cpp goes by; a config.json beside it is of another form.
        found = gguf_shape(models[0].first)
    return ModelNeeds(
        name=name,
        weights_size=weights_size,
        sizes=_sizes(dtypes) if dtypes else None,
        format=kind,
        **found,
    )


def _weights(
    files: dict[str, ModelFile], models: Sequence[GgufWeights]
) -> tuple[int | None, str | None]:
    """Return the bytes of the files a server loads, and their format."""
    tensors = sorted(path for path in files if files[path].suffix == ".safetensors")
    if tensors:
        loaded = loaded_weights(files, tensors)
        return sum(files[path].size for path in loaded), "safetensors"
    if models:
        return models[0].size if len(models) == 1 else None, "gguf"
    old = [path for path in files if _OLD_WEIGHTS.match(path)]
    return sum(files[path].size for path in old) or None, None


def _sizes(dtypes: Mapping[str, int]) -> tuple[DtypeSize, ...] | None:
    blocks = {**{name: (8, bits) for name, bits in _DTYPE_BITS.items()}, **_BLOCKS}
    if not all(name in blocks for name in dtypes):
        return None
    return tuple(
        DtypeSize(name, count * blocks[name][1] // blocks[name][0])
        for name, count in sorted(dtypes.items())
    )


def _shape(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of ModelNeeds that a config gives."""
    inner: dict[str, Any] = next(
        (whole[key] for key in _INNER if isinstance(whole.get(key), dict)), {}
    )
    config = {**whole, **{key: held for key, held in inner.items() if held is not None}}
    layers = _count(config, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    heads = _count(config, "num_attention_heads", "n_head", "n_heads")
    return {
        "layers": layers,
        "heads": heads,
        "kv_heads": _kv_heads(config, heads),
        "head_dim": _count(config, "head_dim"),
        "hidden_size": _count(config, "hidden_size", "n_embd", "d_model"),
        # Models without latent attention do not have the key at all.
        "kv_lora_rank": _count(config, "kv_lora_rank") or (0 if layers else None),
        "qk_rope_head_dim": _count(config, "qk_rope_head_dim"),
        "max_positions": _positions(config),
        "dtype": _text(config.get("dtype")) or _text(config.get("torch_dtype")),
        "quantization": _quantization(config),
        **layer_kinds(config, layers),
    }


def _kv_heads(config: dict[str, Any], heads: int | None) -> int | None:
    # Falcon's first form names the number of heads and then shares one.
    if config.get("multi_query") is True and not config.get("new_decoder_architecture"):
        return _count(config, "multi_query_group_num") or 1
    return _count(config, *_KV_HEADS) or heads


def _positions(config: dict[str, Any]) -> int | None:
    """Return the longest context, stretched as servers stretch it."""
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    length = _count(config, *names)
    rope = config.get("rope_scaling") or config.get("rope_parameters")
    if length is None or not isinstance(rope, dict):
        return length
    kind = _text(rope.get("rope_type")) or _text(rope.get("type")) or ""
    factor = rope.get("factor")
    if kind in _ROPE_AS_STATED or not isinstance(factor, int | float):
        return length
    if kind == "yarn":
        length = _count(rope, "original_max_position_embeddings") or length
    return int(length * factor) if 1 <= factor <= 1000 else length


def _quantization(config: dict[str, Any]) -> str | None:
    for key in ("quantization_config", "compression_config"):
        held = config.get(key)
        if isinstance(held, dict):
            return _text(held.get("quant_method"))
    return None


def _count(config: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if type(value) is int and 0 < value < _LARGEST:
            return value
    return None


def _text(value: Any) -> str | None:
    return value[:80] if isinstance(value, str) else None
