"""Make a model whose numbers are spread like those of real weights.

One Gaussian for all would flatter a compressor: here every tensor, every row and
every column has its own scale, and some elements are outliers. The same arguments
give the same bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHARDS = 4
DTYPES = {
    "bf16": ("BF16", 2),
    "fp16": ("F16", 2),
    "fp32": ("F32", 4),
    "int8": ("I8", 1),
}
_WIDE, _NARROW, _INNER = 2048, 512, 5632
_LAYER = {
    "self_attn.q_proj": (_WIDE, _WIDE),
    "self_attn.k_proj": (_NARROW, _WIDE),
    "self_attn.v_proj": (_NARROW, _WIDE),
    "self_attn.o_proj": (_WIDE, _WIDE),
    "mlp.gate_proj": (_INNER, _WIDE),
    "mlp.up_proj": (_INNER, _WIDE),
    "mlp.down_proj": (_WIDE, _INNER),
}
_OUTLIERS = 1000


@dataclass(frozen=True)
class Tensor:
    """A matrix of the model that is made."""

    name: str
    rows: int
    columns: int


def make_model(folder: Path, size: int, dtype: str) -> Path:
    """Return the directory of a model of about `size` bytes; make it once."""
    final = folder / f"{dtype}-{size}"
    if final.exists():
        return final
    unfinished = folder / f".{final.name}.partial"
    unfinished.mkdir(parents=True, exist_ok=True)
    width = DTYPES[dtype][1]
    shards = _shards(list(_tensors(size // width)))
    names = [f"model-{n + 1:05}-of-{SHARDS:05}.safetensors" for n in range(SHARDS)]
    for number, (name, tensors) in enumerate(zip(names, shards, strict=True)):
        _write_shard(unfinished / name, tensors, dtype, seed=number)
    places = {t.name: n for n, ts in zip(names, shards, strict=True) for t in ts}
    index = {"metadata": {}, "weight_map": places}
    config = {"architectures": ["LlamaForCausalLM"], "hidden_size": _WIDE}
    for name, value in (
        ("model.safetensors.index.json", index),
        ("config.json", config),
    ):
        text = json.dumps(value, indent=2, sort_keys=True)
        (unfinished / name).write_text(text, encoding="utf-8")
    unfinished.rename(final)
    return final


def _tensors(count: int) -> Iterator[Tensor]:
    """Yield whole layers, and a matrix of embeddings for the rest."""
    per_layer = sum(rows * columns for rows, columns in _LAYER.values())
    layers, rest = divmod(count, per_layer)
    yield Tensor("model.embed_tokens.weight", max(SHARDS, rest // _WIDE), _WIDE)
    for layer in range(layers):
        for name, (rows, columns) in _LAYER.items():
            yield Tensor(f"model.layers.{layer}.{name}.weight", rows, columns)


def _shards(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Give each tensor to the shard that has least."""
    shards: list[list[Tensor]] = [[] for _ in range(SHARDS)]
    for tensor in tensors:
        sizes = [sum(t.rows * t.columns for t in shard) for shard in shards]
        shards[sizes.index(min(sizes))].append(tensor)
    return [shard or [Tensor(f"empty.{n}", 1, 1)] for n, shard in enumerate(shards)]


def _write_shard(path: Path, tensors: list[Tensor], dtype: str, *, seed: int) -> None:
    code, width = DTYPES[dtype]
    header, at = {}, 0
    for tensor in tensors:
        end = at + tensor.rows * tensor.columns * width
        header[tensor.name] = {
            "dtype": code,
            "shape": [tensor.rows, tensor.columns],
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            for block in _values(random, tensor):
                file.write(_stored(block, dtype))


def _values(random: np.random.Generator, tensor: Tensor) -> Iterator[np.ndarray]:
    """Yield float32 values, some rows at a time."""
    whole = 0.02 * random.lognormal(0, 0.5)
    by_column = random.lognormal(0, 0.2, tensor.columns).astype(np.float32)
    step = max(1, (1 << 22) // tensor.columns)
    for start in range(0, tensor.rows, step):
        rows = min(step, tensor.rows - start)
        block = random.standard_normal((rows, tensor.columns), dtype=np.float32)
        scale = whole * random.lognormal(0, 0.3, (rows, 1))
        block *= scale.astype(np.float32)
        block *= by_column
        flat = block.reshape(-1)
        flat[random.integers(0, flat.size, flat.size // _OUTLIERS)] *= 8
        yield block


def _stored(block: np.ndarray, dtype: str) -> bytes:
    if dtype == "bf16":
        return (block.view(np.uint32) >> 16).astype("<u2").tobytes()
    if dtype == "fp16":
        return block.astype("<f2").tobytes()
    if dtype == "int8":
        largest = np.abs(block).max(axis=1, keepdims=True)
        return np.rint(block * (127 / largest)).astype("i1").tobytes()
    return block.astype("<f4").tobytes()
