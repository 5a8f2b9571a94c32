"""Memory for chunks that is used again.

Fresh memory for every piece would cost as much as reading it: the kernel has to clear
each page. Who takes a piece gives its memory back when nobody needs it any more.
"""

from __future__ import annotations

from mmap import mmap

from sealift_manifests.digests import Buffer
from sealift_manifests.index import MAX_CHUNK
from sealift_manifests.parallel import large_buffer

_SKEW = 2 << 20
"""Room beside a chunk, so that what is copied may begin and end at a disk's block. As
much as a large page, or the kernel would not lay the memory on large pages."""


class Buffers:
    """Lends memory of the size of a chunk. For several threads."""

    def __init__(self) -> None:
        self._free: list[mmap] = []
        self._lent: dict[int, mmap] = {}

    def take(self, size: int, skew: int = 0) -> memoryview:
        """Return `size` bytes, at most those of a chunk, `skew` bytes into a page.

        The `obj` behind the view begins at a page, and goes on for a page at least.
        """
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = large_buffer(MAX_CHUNK + _SKEW)
        self._lent[id(buffer)] = buffer
        return memoryview(buffer)[skew : skew + size]

    def give_back(self, view: Buffer) -> None:
        """Let the memory behind a view be used again, if it came from here."""
        buffer = self._lent.pop(id(memoryview(view).obj), None)
        if buffer is not None:
            self._free.append(buffer)
