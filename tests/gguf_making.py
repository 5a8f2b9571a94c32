"""GGUF files, written byte by byte as the format says."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

from sealift_bundler.models.gguf_header import TENSOR_TYPES

NUMBERS = {name: number for number, (name, _, _) in TENSOR_TYPES.items()}
LLAMA = {
    "general.architecture": "llama",
    "general.file_type": 15,
    "llama.block_count": 32,
    "llama.context_length": 131072,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
}
"""What llama.cpp's converter writes of an 8B Llama, in Q4_K_M."""


def text(value: str) -> bytes:
    """Return a text as GGUF has it."""
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key: str, value: Any) -> bytes:
    """Return a key and its value; a list is one of texts, booleans or int32."""
    return text(key) + _value(value)


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if value and isinstance(value[0], str):
        items = b"".join(map(text, value))
        return struct.pack("<IIQ", 9, 8, len(value)) + items
    kind, letter = (7, "B") if value and isinstance(value[0], bool) else (5, "i")
    return struct.pack(f"<IIQ{len(value)}{letter}", 9, kind, len(value), *value)


def a_gguf(
    metadata: Mapping[str, Any],
    tensors: Mapping[str, tuple[str, list[int]]] | None = None,
    *,
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """Return a whole file; `tensors` have a type and a shape, and noughts."""
    infos, data = b"", b""
    for name, (dtype, shape) in (tensors or {}).items():
        _, block, size = TENSOR_TYPES[NUMBERS[dtype]]
        data += bytes(-len(data) % alignment)
        infos += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        infos += struct.pack("<IQ", NUMBERS[dtype], len(data))
        data += bytes(math.prod(shape) // block * size)
    counts = struct.pack("<IQQ", version, len(tensors or {}), len(metadata))
    pairs = b"".join(pair(key, value) for key, value in metadata.items())
    header = b"GGUF" + counts + pairs + infos
    return header + bytes(-len(header) % alignment) + data
