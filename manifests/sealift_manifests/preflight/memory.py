"""How much GPU memory a model takes: weights, KV cache, and what a server adds.

Bytes, and per GPU. What is not known makes a range; both ends are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from sealift_manifests.preflight.needs import ModelNeeds, ServiceNeeds

BLOCK = 16
"""Tokens of a KV cache block; a request takes whole blocks."""

DEFAULT_THOUSANDTHS = 920
"""vLLM's gpu_memory_utilization where none is given; older releases took 900."""

_GIB = 1 << 30
OVERHEAD = 5 * _GIB // 2
OVERHEAD_EAGER = 3 * _GIB // 2
"""What vLLM usually takes besides: activations, CUDA graphs (none when eager), NCCL."""

MOST_OVERHEAD = 19 * _GIB // 5
MOST_OVERHEAD_EAGER = 11 * _GIB // 5
LLAMA_OVERHEAD = _GIB

_BLOCKS = {
    **dict.fromkeys(("auto", "bfloat16", "float16", "f16", "bf16", "half"), (1, 2)),
    **dict.fromkeys(("float32", "f32"), (1, 4)),
    **dict.fromkeys(("fp8", "int8"), (1, 1)),
    **dict.fromkeys(("q4_0", "iq4_nl"), (32, 18)),
    "nvfp4": (16, 9),
    "q4_1": (32, 20),
    "q5_0": (32, 22),
    "q5_1": (32, 24),
    "q8_0": (32, 34),
}
"""Elements and bytes of a block of each KV dtype, scales included."""

DS_MLA = 656
"""Bytes per token and layer of the KV dtype fp8_ds_mla."""

LONGEST = 1 << 27

Range = Tuple[int, int]


@dataclass(frozen=True)
class Split:
    """How a model is spread: tensor parallel and pipeline parallel size."""

    tensor: int = 1
    pipeline: int = 1

    @property
    def gpus(self) -> int:
        """How many GPUs that takes."""
        return self.tensor * self.pipeline


@dataclass(frozen=True)
class Layers:
    """KV bytes per token of one layer on one GPU, and how many layers of each sort.

    `growing` keep every token, `sliding` at most a window. Counts are ranges,
    because a model need not say which layers are which.
    """

    bytes_per_token: int
    growing: Range
    sliding: Range
    window_tokens: Range

    def cache_size(self, length: int) -> Range:
        """Return the KV cache of one request of `length` tokens: least and most."""
        whole = -(-length // BLOCK) * BLOCK
        low, high = (
            growing * whole + sliding * min(whole, window)
            for growing, sliding, window in zip(
                self.growing, self.sliding, self.window_tokens
            )
        )
        return low * self.bytes_per_token, high * self.bytes_per_token

    def longest(self, room: int) -> int:
        """Return the longest request that surely fits, in tokens (whole blocks)."""
        low, high = 0, LONGEST // BLOCK
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.cache_size(middle * BLOCK)[1] <= room
            low, high = (middle, high) if fits else (low, middle - 1)
        return low * BLOCK


def kv_heads_per_gpu(model: ModelNeeds, tensor: int) -> Optional[int]:
    """Return the KV heads one GPU keeps; they are copied where GPUs outnumber them."""
    total = model.kv_heads if model.kv_heads is not None else model.heads
    return None if not total else max(1, total // tensor)


def layer_bytes(
    model: ModelNeeds,
    kv_dtype: Optional[str],
    tensor: int,
    value_dtype: Optional[str] = None,
) -> Optional[int]:
    """Return KV bytes per token of one layer on one GPU; None where not known."""
    dtype = (kv_dtype or "auto").lower()
    if model.kv_lora_rank is None:
        return None
    if model.kv_lora_rank:
        if dtype == "fp8_ds_mla":
            return DS_MLA
        if model.qk_rope_head_dim is None:
            return None
        # One latent vector serves keys, values and all heads: no factor, no division.
        return _row(model.kv_lora_rank + model.qk_rope_head_dim, dtype)
    heads, head_dim = kv_heads_per_gpu(model, tensor), _head_dim(model)
    if heads is None or head_dim is None:
        return None
    values = heads * (model.value_head_dim or head_dim)
    parts = _row(heads * head_dim, dtype), _row(values, (value_dtype or dtype).lower())
    return None if None in parts else sum(filter(None, parts))


def layers_of(
    model: ModelNeeds, service: ServiceNeeds, split: Split
) -> Optional[Layers]:
    """Return what the KV cache of a model grows by; None where not known."""
    per_token = layer_bytes(model, service.kv_dtype, split.tensor, service.value_dtype)
    if per_token is None or not model.layers:
        return None
    most = model.layers - (model.stateful_layers or 0)
    least = 0 if model.stateful_layers is None else most
    window = model.sliding_window
    sliding: Range = (0, 0)
    if window is None:
        least = 0
    elif window:
        few = most if model.sliding_layers is None else model.sliding_layers
        sliding = (few, model.sliding_layers or 0)
        least -= few
        most -= model.sliding_layers or 0
    batch = service.max_batched_tokens
    tokens: Range = (0, 0)
    if window:
        tokens = (window, LONGEST)
        if batch is not None:
            tokens = (window - 1 + batch + BLOCK,) * 2
    return Layers(
        per_token,
        growing=(_share(max(0, least), split), _share(max(0, most), split)),
        sliding=(_share(sliding[0], split), _share(sliding[1], split)),
        window_tokens=tokens,
    )


def weights_per_gpu(model: ModelNeeds, split: Split) -> Optional[int]:
    """Return the weights one GPU holds, as if all of them were divided."""
    return None if model.weights_size is None else -(-model.weights_size // split.gpus)


def divides_heads(model: ModelNeeds, tensor: int) -> Optional[bool]:
    """Tell whether the attention heads can be divided by a tensor parallel size."""
    return None if not model.heads else model.heads % tensor == 0


def overhead(service: ServiceNeeds) -> Range:
    """Return what a server takes besides: usually, and at most."""
    if service.enforce_eager:
        return OVERHEAD_EAGER, MOST_OVERHEAD_EAGER
    return OVERHEAD, MOST_OVERHEAD


def _share(layers: int, split: Split) -> int:
    return -(-layers // split.pipeline)


def _head_dim(model: ModelNeeds) -> Optional[int]:
    if model.head_dim:
        return model.head_dim
    if not model.hidden_size or not model.heads:
        return None
    return model.hidden_size // model.heads


def _row(elements: int, dtype: str) -> Optional[int]:
    """Return the bytes of so many elements of a KV dtype, scales included."""
    block = _BLOCKS.get("fp8" if dtype.startswith("fp8") else dtype)
    return None if block is None else -(-elements * block[1] // block[0])
