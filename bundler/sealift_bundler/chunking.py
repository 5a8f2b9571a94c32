"""Where a file is cut into chunks. Pure: sizes in, pieces out.

Tensors are cut from their own start, so that a file that carries the same tensor at
another offset (a re-shard, a merge, a fine-tune) shares its chunks. Reading headers
is not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from sealift_manifests.errors import SourceContentError

CHUNK_SIZE = 8 << 20
OWN_CHUNK = 256 << 10
"""A tensor of this many bytes starts a chunk; smaller ones share."""

_WIDTHS = {
    **dict.fromkeys(("BF16", "F16", "I16", "U16"), 2),
    # 8-byte numbers go as pairs of 4: shuffle-zstd knows no wider element.
    **dict.fromkeys(("F32", "I32", "U32", "C64", "F64", "I64", "U64"), 4),
}


@dataclass(frozen=True)
class Piece:
    """A stretch of a file that becomes one chunk, of elements of `width` bytes."""

    offset: int
    size: int
    width: int

    @property
    def end(self) -> int:
        """The offset of the first byte behind the piece."""
        return self.offset + self.size


class Tensor(Protocol):
    """What has to be known of a tensor; offsets count from the end of the header."""

    @property
    def dtype(self) -> str:
        """Its safetensors type, such as `BF16`."""

    @property
    def start(self) -> int:
        """The offset of its first byte."""

    @property
    def end(self) -> int:
        """The offset of the first byte behind it."""


def width_of(dtype: str) -> int:
    """Return the element width of a safetensors type: 2, 4, or 1 for all else."""
    return _WIDTHS.get(dtype, 1)


def cut_plain(size: int) -> Iterator[Piece]:
    """Cut a file of which nothing is known."""
    return _cut(Piece(0, size, 1))


def cut_tensors(
    header_size: int, tensors: Iterable[Tensor], file_size: int
) -> Iterator[Piece]:
    """Cut a safetensors file whose tensors, in file order, lie gap-free behind
    `header_size` bytes; the pieces cover the file exactly."""
    yield from _cut(Piece(0, header_size, 1))
    shared = Piece(header_size, 0, 1)
    for piece in _contiguous(header_size, tensors, file_size):
        if piece.size >= OWN_CHUNK:
            yield from _cut(shared)
            yield from _cut(piece)
            shared = Piece(piece.end, 0, piece.width)
        elif piece.width == shared.width and shared.size + piece.size <= CHUNK_SIZE:
            shared = Piece(shared.offset, shared.size + piece.size, piece.width)
        else:
            yield from _cut(shared)
            shared = piece
    yield from _cut(shared)


def _contiguous(
    header_size: int, tensors: Iterable[Tensor], file_size: int
) -> Iterator[Piece]:
    """Turn tensors into pieces, and insist that they cover the file."""
    at = header_size
    for tensor in tensors:
        size = tensor.end - tensor.start
        if header_size + tensor.start != at or size < 0:
            raise _lying(f"a tensor begins at {tensor.start}, not {at - header_size}")
        if size:
            yield Piece(at, size, width_of(tensor.dtype))
        at += size
    if at != file_size:
        raise _lying(f"the tensors end at {at}, the file at {file_size}")


def _lying(reason: str) -> SourceContentError:
    return SourceContentError(
        f"the header of a safetensors file does not describe the file: {reason}",
        hint="Fetch the file again. If it stays so, it was written wrong at its source "
        "and no loader should be given it.",
    )


def _cut(piece: Piece) -> Iterator[Piece]:
    for offset in range(piece.offset, piece.end, CHUNK_SIZE):
        yield Piece(offset, min(CHUNK_SIZE, piece.end - offset), piece.width)
