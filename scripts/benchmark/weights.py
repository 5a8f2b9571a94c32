"""Make a model whose numbers are spread like those of real weights.

One Gaussian for all would flatter a compressor: here every tensor, every row and
every column has its own scale, and some elements are outliers. The same arguments
give the same bytes. Values are made some rows at a time and go straight to the disk.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .dtypes import FORMS, Floats, Form, Matrix

SHARDS = 4
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
_BLOCK = 1 << 22
"""Elements made at a time, about."""


def make_model(folder: Path, size: int, dtype: str, shards: int = SHARDS) -> Path:
    """Return the directory of a model of about `size` bytes; make it once."""
    final = folder / f"{dtype}-{size}-{shards}"
    if final.exists():
        return final
    unfinished = folder / f".{final.name}.partial"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    form = FORMS[dtype]
    names = [f"model-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
    parts = _shards(list(_matrices(int(size / form.bytes_each))), shards)
    with ThreadPoolExecutor() as pool:
        paths = [unfinished / name for name in names]
        list(pool.map(_write_shard, paths, parts, [form] * shards, range(shards)))
    _write_documents(unfinished, names, parts)
    unfinished.rename(final)
    return final


def part_of(model: Path, folder: Path, shards: int) -> Path:
    """Return a directory with links to the first shards of a model."""
    folder.mkdir(parents=True)
    files = [*sorted(model.glob("*.safetensors"))[:shards], model / "config.json"]
    for file in files:
        (folder / file.name).hardlink_to(file)
    return folder


def _write_documents(folder: Path, names: list[str], parts: list[list[Matrix]]) -> None:
    places = {m.name: n for n, ms in zip(names, parts, strict=True) for m in ms}
    index = {"metadata": {}, "weight_map": places}
    config = {"architectures": ["LlamaForCausalLM"], "hidden_size": _WIDE}
    documents = (("model.safetensors.index.json", index), ("config.json", config))
    for name, value in documents:
        text = json.dumps(value, indent=2, sort_keys=True)
        (folder / name).write_text(text, encoding="utf-8")


def _matrices(count: int) -> Iterator[Matrix]:
    """Yield whole layers, and a matrix of embeddings for the rest."""
    per_layer = sum(rows * columns for rows, columns in _LAYER.values())
    layers, rest = divmod(count, per_layer)
    rows = max(SHARDS, rest // _WIDE)
    yield Matrix("model.embed_tokens.weight", rows, _WIDE)
    for layer in range(layers):
        for name, (rows, columns) in _LAYER.items():
            yield Matrix(f"model.layers.{layer}.{name}.weight", rows, columns)


def _shards(matrices: list[Matrix], count: int) -> list[list[Matrix]]:
    """Give each matrix to the shard that has least, the largest first."""
    shards: list[list[Matrix]] = [[] for _ in range(count)]
    sizes = [0] * count
    for matrix in sorted(matrices, key=lambda m: (-m.rows * m.columns, m.name)):
        least = sizes.index(min(sizes))
        shards[least].append(matrix)
        sizes[least] += matrix.rows * matrix.columns
    return [
        shard or [Matrix(f"empty.{n}", 1, _NARROW)] for n, shard in enumerate(shards)
    ]


def _write_shard(path: Path, matrices: list[Matrix], form: Form, seed: int) -> None:
    header, at = {}, 0
    for matrix in matrices:
        for part in form.parts(matrix):
            end = at + part.size
            header[part.name] = {
                "dtype": part.code,
                "shape": [part.rows, part.columns],
                "data_offsets": [at, end],
            }
            at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for matrix in matrices:
            for data in form.stored(_values(random, matrix, plain=form.plain)):
                file.write(data)


def _values(
    random: np.random.Generator, matrix: Matrix, *, plain: bool
) -> Iterator[Floats]:
    """Yield float32 values, some rows at a time; `plain`: one Gaussian."""
    whole = 0.02 if plain else 0.02 * random.lognormal(0, 0.5)
    by_column = random.lognormal(0, 0.2, matrix.columns).astype(np.float32)
    step = max(1, _BLOCK // matrix.columns)
    for start in range(0, matrix.rows, step):
        rows = min(step, matrix.rows - start)
        block = random.standard_normal((rows, matrix.columns), dtype=np.float32)
        if plain:
            yield block * np.float32(whole)
            continue
        scale = whole * random.lognormal(0, 0.3, (rows, 1))
        block *= scale.astype(np.float32)
        block *= by_column
        flat = block.reshape(-1)
        flat[random.integers(0, flat.size, flat.size // _OUTLIERS)] *= 8
        yield block


def in_memory(dtype: str, size: int) -> bytes:
    """Return about `size` bytes of one matrix, such as chunks are cut from."""
    form = FORMS[dtype]
    rows = max(1, int(size / form.bytes_each) // _WIDE)
    values = _values(np.random.default_rng(1), Matrix("one", rows, _WIDE), plain=False)
    return b"".join(form.stored(values))[:size]
