"""Which layers of a model keep what: every token, a window, or a fixed state.

By what configs of known families say. Where a family leaves it open, None.
"""

from __future__ import annotations

from typing import Any

_ALL_SLIDE = ("mistral", "mixtral", "starcoder2")
_WINDOWED = ("sliding_attention", "chunked_attention", "local_attention")
_STATEFUL = ("mamba", "mamba2", "linear_attention", "recurrent", "conv", "ssm")
_SIGNS_OF_STATE = ("mamba", "ssm_", "linear_", "rwkv", "conv_L", "recurrent", "rglru")


def layer_kinds(config: dict[str, Any], layers: int | None) -> dict[str, int | None]:
    """Return `sliding_window`, `sliding_layers` and `stateful_layers`."""
    if layers is None:
        return {}
    kinds = _listed(config, layers)
    window = _window(config, kinds)
    sliding = None
    if window:
        sliding = _sliding(config, layers, kinds)
    return {
        "sliding_window": window,
        "sliding_layers": sliding,
        "stateful_layers": _stateful(config, layers, kinds),
    }


def _listed(config: dict[str, Any], layers: int) -> list[str] | None:
    for key in ("layer_types", "layers_block_type", "block_types"):
        kinds = config.get(key)
        if isinstance(kinds, list) and len(kinds) == layers:
            return [str(kind) for kind in kinds]
    return None


def _window(config: dict[str, Any], kinds: list[str] | None) -> int:
    if config.get("use_sliding_window") is False:
        return 0
    if kinds is not None and not any(kind in _WINDOWED for kind in kinds):
        return 0
    for key in ("sliding_window", "attention_chunk_size"):
        value = config.get(key)
        if type(value) is int and 0 < value < 1 << 30:
            return value
    return 0


def _sliding(
    config: dict[str, Any], layers: int, kinds: list[str] | None
) -> int | None:
    if kinds is not None:
        return sum(kind in _WINDOWED for kind in kinds)
    pattern = config.get("sliding_window_pattern")
    if type(pattern) is int and pattern > 0:
        return layers - layers // pattern
    if config.get("use_sliding_window") is True:
        first = config.get("max_window_layers")
        if type(first) is int and first >= 0:
            return max(0, layers - first)
    return layers if config.get("model_type") in _ALL_SLIDE else None


def _stateful(
    config: dict[str, Any], layers: int, kinds: list[str] | None
) -> int | None:
    if kinds is not None:
        return sum(kind in _STATEFUL for kind in kinds)
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str) and len(pattern) == layers:
        return layers - pattern.count("*")
    for key in ("full_attention_interval", "attn_layer_period"):
        period = config.get(key)
        if type(period) is int and period > 0:
            return layers - layers // period
    if any(str(key).startswith(_SIGNS_OF_STATE) for key in config):
        return None
    return 0
