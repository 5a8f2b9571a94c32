"""Read back what was stored, while more is stored.

From the disk, not from what the kernel keeps in memory. So a disk that fails is found
out after minutes, and not when all is packed. What comes back is compared by a checksum
of 128 bits that was taken in memory: what a disk does to bytes it does by accident, and
SHA-256 would take fifteen times as long.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

import xxhash
from sealift_manifests.digests import Buffer
from sealift_manifests.errors import (
    DigestMismatchError,
    PayloadError,
    SealiftError,
)
from sealift_manifests.verification import Damage

from sealift_bundler.buffers import Buffers
from sealift_bundler.direct import DirectFile
from sealift_bundler.record import Stored
from sealift_bundler.sinks import Place


class Written(NamedTuple):
    """A chunk that is to be given back, and the checksum of its stored bytes."""

    line: Stored
    checksum: bytes


def checksum(data: Buffer) -> bytes:
    """Return XXH3 of 128 bits: it shows what happens by accident."""
    return xxhash.xxh3_128_digest(data)


class ReadBehind:
    """Reads chunks back in a thread of its own, behind the writing as far as it must.

    `good` grows by the numbers of those that the disk gave back. `bad` is the number of
    the first that it did not: after that one none is read.
    """

    def __init__(self) -> None:
        self.good: set[int] = set()
        self.bad: int | None = None
        self._pool = ThreadPoolExecutor(1, "read-back")
        self._waiting: deque[Future[None]] = deque()
        self._buffers = Buffers()

    def take(self, place: Place, first: int, chunks: Sequence[Written]) -> None:
        """Have these read, which are synced; `first` is the number of their first.

        They lie in one pack, which is at `place`. Raises DigestMismatchError or
        PayloadError for those that were taken before.
        """
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        if chunks:
            future = self._pool.submit(self._read, place, first, chunks)
            self._waiting.append(future)

    def finish(self) -> None:
        """Begin with none any more, and wait for what is being read; raise as `take`.

        What was left out is not `good`: all cores read it sooner than one thread.
        """
        for future in reversed(self._waiting):
            future.cancel()
        for future in self._waiting:
            if not future.cancelled():
                future.result()

    def close(self) -> None:
        """Begin with none any more, and end the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _read(self, place: Place, first: int, chunks: Sequence[Written]) -> None:
        if self.bad is not None:
            return
        fd = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            start, end = chunks[0].line.chunk.offset, chunks[-1].line.end
            at, size = place.start + start, end - start
            os.posix_fadvise(fd, at, size, os.POSIX_FADV_DONTNEED)
            with closing(DirectFile(fd)) as file:
                for number, chunk in enumerate(chunks, first):
                    self._compare(file, place, number, chunk)
        finally:
            os.close(fd)

    def _compare(
        self, file: DirectFile, place: Place, number: int, written: Written
    ) -> None:
        chunk = written.line.chunk
        try:
            at = place.start + chunk.offset
            stored = file.read(self._buffers, at, chunk.stored_size)
        except (OSError, EOFError):
            kind, detail = "unreadable", "cannot be read"
        else:
            is_good = checksum(stored) == written.checksum
            self._buffers.give_back(stored)
            if is_good:
                self.good.add(number)
                return
            kind, detail = "changed", "is not what was written"
        self.bad = number
        ranges = ((chunk.offset, written.line.end),)
        raise not_given_back([Damage(place.name, place.label, kind, detail, ranges)])


def not_given_back(damages: Sequence[Damage]) -> SealiftError:
    """Return the error for a disk that has not what was written to it."""
    unread = all(damage.kind in ("missing", "unreadable") for damage in damages)
    lines = "\n".join(map(str, damages))
    return (PayloadError if unread else DigestMismatchError)(
        f"the disk does not give back what was written:\n{lines}",
        hint="It or its connection may be failing: look at `dmesg`. Run the build "
        "again: it goes on where the damage begins. If that fails too, choose another "
        "place with -o.",
    )
