"""What sizes a GGUF model in memory: from its own header, as llama.cpp reads it.

What a header does not say, or where releases of llama.cpp differ, is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .gguf_header import GgufHeader, Value

_MIXES = """
0:F32 1:F16 2:Q4_0 3:Q4_1 7:Q8_0 8:Q5_0 9:Q5_1 10:Q2_K 11:Q3_K_S 12:Q3_K_M 13:Q3_K_L
14:Q4_K_S 15:Q4_K_M 16:Q5_K_S 17:Q5_K_M 18:Q6_K 19:IQ2_XXS 20:IQ2_XS 21:Q2_K_S 22:IQ3_XS
23:IQ3_XXS 24:IQ1_S 25:IQ4_NL 26:IQ3_S 27:IQ3_M 28:IQ2_S 29:IQ2_M 30:IQ4_XS 31:IQ1_M
32:BF16 36:TQ1_0 37:TQ2_0 38:MXFP4_MOE 39:NVFP4 40:Q1_0
"""
_FILE_TYPES = {
    int(number): name for number, name in (row.split(":") for row in _MIXES.split())
}
"""What general.file_type calls the mix of tensor types."""

_SLIDING_PERIODS = {"gemma2": 2, "gemma3": 6, "cohere2": 4, "gpt-oss": 2}
"""Every how many layers one sees everything, where llama.cpp knows and files do not."""

_SIGNS_OF_STATE = ("ssm.", "wkv.", "shortconv.", "token_shift_count")
_LARGEST = 1 << 40


def architecture_of(header: GgufHeader) -> str:
    """Return general.architecture, "" where it is not said."""
    found = header.metadata.get("general.architecture")
    return found if isinstance(found, str) else ""


def quantization_of(header: GgufHeader) -> str | None:
    """Return the name of the mix of tensor types: "Q4_K_M"."""
    kind = header.metadata.get("general.file_type")
    return _FILE_TYPES.get(kind) if isinstance(kind, int) else None


def gguf_shape(header: GgufHeader) -> dict[str, Any]:
    """Return the fields of ModelNeeds that a header gives."""
    model = _Model(header, architecture_of(header))
    layers = model.count("block_count")
    heads = model.same("attention.head_count")
    found = {
        "layers": layers,
        "heads": heads,
        "hidden_size": model.count("embedding_length"),
        "max_positions": model.count("context_length"),
        "quantization": quantization_of(header),
    }
    if layers is None:
        return found
    return {**found, **_cache(model, layers, heads), **_sliding(model, layers)}


class _Model:
    """The values of a header that stand under its architecture."""

    def __init__(self, header: GgufHeader, architecture: str) -> None:
        self.architecture = architecture
        self._metadata = header.metadata

    def value(self, name: str) -> Value | None:
        return self._metadata.get(f"{self.architecture}.{name}")

    def count(self, name: str) -> int | None:
        value = self.value(name)
        return value if type(value) is int and 0 < value < _LARGEST else None

    def same(self, name: str) -> int | None:
        """Return a count that may be given for each layer; None where they differ."""
        value = self.value(name)
        if isinstance(value, tuple):
            kinds = {each for each in value if each > 0}
            return kinds.pop() if len(kinds) == 1 else None
        return self.count(name)

    def has(self, *starts: str) -> bool:
        full = tuple(f"{self.architecture}.{start}" for start in starts)
        return any(key.startswith(full) for key in self._metadata)


def _cache(model: _Model, layers: int, heads: int | None) -> dict[str, Any]:
    """Return what a layer keeps of a token, and how many keep nothing that grows."""
    per_layer = model.value("attention.head_count_kv")
    kv_heads = heads if per_layer is None else model.same("attention.head_count_kv")
    found: dict[str, Any] = {
        "kv_heads": kv_heads,
        "head_dim": model.count("attention.key_length"),
        "value_head_dim": model.count("attention.value_length"),
        "stateful_layers": None if model.has(*_SIGNS_OF_STATE) else 0,
    }
    if isinstance(per_layer, tuple) and len(per_layer) == layers:
        # A layer without heads for keys and values has no cache: it keeps a state.
        found["stateful_layers"] = sum(each == 0 for each in per_layer)
    # How much of latent attention is cached differs between releases of llama.cpp.
    is_told = kv_heads is not None and not model.has("attention.kv_lora_rank")
    return {**found, "kv_lora_rank": 0 if is_told else None}


def _sliding(model: _Model, layers: int) -> dict[str, Any]:
    window = model.count("attention.sliding_window")
    if window is None:
        return {"sliding_window": 0}
    pattern = model.value("attention.sliding_window_pattern")
    if pattern is None:
        pattern = _SLIDING_PERIODS.get(model.architecture)
    sliding = None
    if isinstance(pattern, tuple):
        sliding = _listed(pattern, layers)
    elif type(pattern) is int and pattern >= 0:
        sliding = layers - layers // pattern if pattern else layers
    return {"sliding_window": window, "sliding_layers": sliding}


def _listed(pattern: Sequence[int], layers: int) -> int | None:
    return sum(map(bool, pattern)) if len(pattern) == layers else None
