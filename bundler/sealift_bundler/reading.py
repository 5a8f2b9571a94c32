"""Read the pieces of a file into memory that is used again.

Fresh memory for every piece would cost as much as reading it: the kernel has to clear
each page. Who takes a piece gives its memory back when nobody needs it any more.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from mmap import mmap

from sealift_manifests.digests import Buffer
from sealift_manifests.index import MAX_CHUNK
from sealift_manifests.parallel import large_buffer

from sealift_bundler.chunking import Piece

_AHEAD = 2
"""Pieces that the disk reads while an earlier one is worked on."""


class Buffers:
    """Lends memory of the size of a chunk. For several threads."""

    def __init__(self) -> None:
        self._free: list[mmap] = []
        self._lent: dict[int, mmap] = {}

    def take(self, size: int) -> memoryview:
        """Return `size` bytes, at most those of a chunk."""
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = large_buffer(MAX_CHUNK)
        self._lent[id(buffer)] = buffer
        return memoryview(buffer)[:size]

    def give_back(self, view: Buffer) -> None:
        """Let the memory behind a view be used again, if it came from here."""
        buffer = self._lent.pop(id(memoryview(view).obj), None)
        if buffer is not None:
            self._free.append(buffer)


def read_pieces(
    fd: int, pieces: Iterable[Piece], buffers: Buffers
) -> Iterator[tuple[memoryview, int]]:
    """Yield (bytes, element width) for each piece of an open file.

    Raises EOFError when the file is shorter than that.
    """
    for piece in _expected(fd, pieces):
        view = buffers.take(piece.size)
        done = 0
        while done < piece.size:
            got = os.preadv(fd, [view[done:]], piece.offset + done)
            if not got:
                raise EOFError(piece.offset + done)
            done += got
        yield view, piece.width


def _expected(fd: int, pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the pieces, each while the disk reads those that come after it."""
    ahead: deque[Piece] = deque()
    for piece in pieces:
        os.posix_fadvise(fd, piece.offset, piece.size, os.POSIX_FADV_WILLNEED)
        ahead.append(piece)
        if len(ahead) > _AHEAD:
            yield ahead.popleft()
    yield from ahead
