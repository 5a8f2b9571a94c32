"""The header of a `.gguf` file: read, and held against the file's size.

Versions 2 and 3, little-endian; of others nothing is known. Long arrays (the
vocabulary) are passed over, so the memory does not grow with them. Reads no weights.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from sealift_manifests.errors import SourceContentError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_PAIRS = 1 << 16
_MOST_TENSORS = 1 << 17
_MOST_ITEMS = 1 << 26
_MOST_DIMENSIONS = 8
_KEY_LENGTH = 1 << 16
_TEXT_LENGTH = 1 << 28
_KEPT_TEXT = 1 << 10
_KEPT_ITEMS = 1 << 12
_STRING, _ARRAY = 8, 9
_SCALARS = dict(zip((*range(8), 10, 11, 12), "BbHhIifBQqd", strict=True))
"""The formats of the value types, as `struct` has them."""

_TYPES = """
0:F32:1:4 1:F16:1:2 2:Q4_0:32:18 3:Q4_1:32:20 6:Q5_0:32:22 7:Q5_1:32:24 8:Q8_0:32:34
9:Q8_1:32:40 10:Q2_K:256:84 11:Q3_K:256:110 12:Q4_K:256:144 13:Q5_K:256:176
14:Q6_K:256:210 15:Q8_K:256:292 16:IQ2_XXS:256:66 17:IQ2_XS:256:74 18:IQ3_XXS:256:98
19:IQ1_S:256:50 20:IQ4_NL:32:18 21:IQ3_S:256:110 22:IQ2_S:256:82 23:IQ4_XS:256:136
24:I8:1:1 25:I16:1:2 26:I32:1:4 27:I64:1:8 28:F64:1:8 29:IQ1_M:256:56 30:BF16:1:2
34:TQ1_0:256:54 35:TQ2_0:256:66 39:MXFP4:32:17 40:NVFP4:64:36 41:Q1_0:128:18
"""
_ROWS = (row.split(":") for row in _TYPES.split())
TENSOR_TYPES = {
    int(number): (name, int(count), int(size)) for number, name, count, size in _ROWS
}
"""Name, elements of a block, and bytes of a block, by the number of the type."""

Value = int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class GgufTensor:
    """A tensor. `dtype` and `size` (bytes) are None for types that are not known."""

    name: str
    dtype: str | None
    count: int
    offset: int
    size: int | None


@dataclass(frozen=True)
class GgufHeader:
    """What a file says of itself: scalars and short lists of numbers, and tensors."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]


class _LieError(ValueError):
    """What a header says that cannot be."""


def read_gguf(stream: BinaryIO, file_size: int, name: str) -> GgufHeader | None:
    """Read the header from the start of `stream`, a file of `file_size` bytes.

    None for a file that is no GGUF, or of a version or byte order that is not known.
    Raises SourceContentError, naming the file (`name`), for anything untrue in it.
    """
    reader = _Reader(stream, file_size)
    if file_size < 8 or stream.read(4) != MAGIC:
        return None
    try:
        version = reader.number("I")
        if version not in _VERSIONS:
            return None
        tensor_count, pair_count = reader.number("Q"), reader.number("Q")
        if tensor_count > _MOST_TENSORS or pair_count > _MOST_PAIRS:
            raise _LieError(f"it claims {tensor_count} tensors, {pair_count} values")
        metadata = _metadata(reader, pair_count)
        tensors = tuple(_tensor(reader) for _ in range(tensor_count))
        _expect_room(tensors, metadata, stream.tell(), file_size)
    except _LieError as lie:
        raise SourceContentError(
            f"the GGUF header of {name} is untrue: {lie}",
            hint="Fetch the file again. If it stays so, it was written wrong at its "
            "source: no server could load it.",
        ) from lie
    return GgufHeader(version, metadata, tensors)


class _Reader:
    """Reads numbers and texts, never more than the file has."""

    def __init__(self, stream: BinaryIO, file_size: int) -> None:
        self._stream = stream
        self._size = file_size

    def number(self, kind: str) -> int:
        found: int = self.scalar(kind)
        return found

    def scalar(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))[0]

    def text(self, most: int) -> str:
        length = self.length(most)
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise _LieError("a name is not UTF-8") from error

    def length(self, most: int) -> int:
        length = self.number("Q")
        if length > min(most, self._size):
            raise _LieError(f"it claims a text of {length} bytes")
        return length

    def take(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise _LieError("the file ends in the middle of its header")
        return data

    def skip(self, size: int) -> None:
        if self._stream.seek(size, 1) > self._size:
            raise _LieError("the file ends in the middle of its header")


def _metadata(reader: _Reader, count: int) -> dict[str, Value]:
    seen: set[str] = set()
    found: dict[str, Value] = {}
    for _ in range(count):
        key = reader.text(_KEY_LENGTH)
        if key in seen:
            raise _LieError(f"{key!r} stands there twice")
        seen.add(key)
        value = _value(reader, reader.number("I"))
        if value is not None:
            found[key] = value
    return found


def _value(reader: _Reader, kind: int) -> Value | None:
    """Read a value; None for one that is passed over."""
    if kind == _STRING:
        length = reader.length(_TEXT_LENGTH)
        if length > _KEPT_TEXT:
            reader.skip(length)
            return None
        return reader.take(length).decode("utf-8", "replace")
    if kind == _ARRAY:
        return _array(reader)
    if kind not in _SCALARS:
        raise _LieError(f"it has a value of type {kind}, which there is not")
    found: int | float = reader.scalar(_SCALARS[kind])
    return found


def _array(reader: _Reader) -> tuple[int, ...] | None:
    kind, count = reader.number("I"), reader.number("Q")
    if count > _MOST_ITEMS:
        raise _LieError(f"it claims a list of {count} items")
    if kind == _STRING:
        for _ in range(count):
            reader.skip(reader.length(_TEXT_LENGTH))
        return None
    if kind not in _SCALARS:
        raise _LieError(f"it has a list of type {kind}")
    letter = _SCALARS[kind]
    if count > _KEPT_ITEMS or letter in "fd":
        reader.skip(count * struct.calcsize(letter))
        return None
    return struct.unpack(
        f"<{count}{letter}", reader.take(count * struct.calcsize(letter))
    )


def _tensor(reader: _Reader) -> GgufTensor:
    name = reader.text(_KEY_LENGTH)
    dimensions = reader.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise _LieError(f"tensor {name!r} has {dimensions} dimensions")
    shape = [reader.number("Q") for _ in range(dimensions)]
    kind, offset = reader.number("I"), reader.number("Q")
    count = math.prod(shape)
    dtype, block, block_size = TENSOR_TYPES.get(kind, (None, 1, 0))
    if dtype and shape and shape[0] % block:
        raise _LieError(f"tensor {name!r} is not of whole blocks")
    size = count // block * block_size if dtype else None
    return GgufTensor(name, dtype, count, offset, size)


def _expect_room(
    tensors: Iterable[GgufTensor], metadata: Mapping[str, Value], end: int, size: int
) -> None:
    """Expect every tensor to lie in the file, and on no other."""
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise _LieError(f"it has the alignment {alignment!r}")
    start = -(-end // alignment) * alignment
    taken, before = 0, ""
    for tensor in sorted(tensors, key=lambda each: each.offset):
        if tensor.offset < taken:
            raise _LieError(f"tensor {tensor.name!r} lies on {before!r}")
        taken, before = tensor.offset + (tensor.size or 0), tensor.name
        if start + taken > size:
            raise _LieError(
                f"tensor {tensor.name!r} ends at byte {start + taken}, the file has "
                f"{size}: it was cut short"
            )
