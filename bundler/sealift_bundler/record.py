"""The record of an unfinished build: what is in its packs, so that it can continue.

One line for each stored chunk and each closed pack, in the order in which they lie: a
prefix of the index to come. A line is written after the bytes it tells of are synced,
so what it says holds after a power cut too. Each line has a checksum; one that is torn
or damaged ends the record.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from sealift_manifests.codecs import CODECS
from sealift_manifests.digests import Digest
from sealift_manifests.index import Chunk, Pack

from sealift_bundler.durable import sync_directory, write_all

FORMAT = 1


class Stored(NamedTuple):
    """A chunk that is in its pack. `asked` is the element width its piece had.

    The codec may have taken another width; with another one asked for, it could have
    chosen otherwise.
    """

    chunk: Chunk
    asked: int

    @property
    def end(self) -> int:
        """The offset in its pack of the first byte behind it."""
        return self.chunk.offset + self.chunk.stored_size


class Closed(NamedTuple):
    """A pack that is finished: its size in bytes, and the digest of them."""

    size: int
    digest: Digest


Line = Stored | Closed


class Record:
    """The record at `path`. `lines` is what an earlier run has left; see `load`.

    `refused` says why a record that was there was of no use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: tuple[Line, ...] = ()
        self.refused = ""
        self._fd = -1
        self._begin = 0
        # Of each line: where it ends, and the bytes in packs up to there.
        self._ends: list[tuple[int, int]] = []

    def load(self, about: Mapping[str, str], *, fresh: bool = False) -> None:
        """Read what is there and go on behind it; begin anew if it is of no use.

        `about` says what made the packs: the record of another maker is not used.
        With `fresh` none is.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self.path, flags, 0o644)
        header = _line({"format": FORMAT, **about})
        self._begin = len(header)
        data = _read_all(self._fd)
        if data.startswith(header) and not fresh:
            self._take(data)
        else:
            self.refused = _reason(data, about) if data and not fresh else ""
            os.ftruncate(self._fd, 0)
            write_all(self._fd, header, 0)
            os.fsync(self._fd)
            sync_directory(self.path.parent)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is recorded."""
        return not self._ends

    @property
    def stored_size(self) -> int:
        """Bytes of chunks in packs that are recorded."""
        return self._ends[-1][1] if self._ends else 0

    def cut_to(self, held: Callable[[Sequence[Pack]], Sequence[int]]) -> None:
        """Keep the lines whose bytes are there; `held` says how many each pack has."""
        there = held(self.packs())
        number = 0
        for count, line in enumerate(self.lines):
            size = line.size if isinstance(line, Closed) else line.end
            if size > there[number]:
                self.cut(count)
                return
            number += isinstance(line, Closed)

    def packs(self) -> list[Pack]:
        """Return the packs that an earlier run has left, as far as is recorded."""
        sizes = [0]
        for line in self.lines:
            if isinstance(line, Closed):
                sizes.append(0)
            else:
                sizes[-1] = line.end
        return [Pack(pack_name(number), size) for number, size in enumerate(sizes)]

    def append(self, lines: Sequence[Line]) -> None:
        """Add lines and sync them; the bytes they tell of are synced already."""
        texts = [_line(_value(line)) for line in lines]
        if not texts:
            return
        at = self._end
        try:
            write_all(self._fd, b"".join(texts), at)
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, at)
            raise
        self._ends += self._counted(lines, texts)

    def cut(self, count: int) -> None:
        """Keep only the first `count` lines, and sync that."""
        if count < len(self._ends):
            del self._ends[count:]
            os.ftruncate(self._fd, self._end)
            os.fsync(self._fd)
        self.lines = self.lines[:count]

    def strike(self, number: int, pack: int) -> None:
        """Keep only what stands before chunk `number`, which lies in this pack."""
        # Before a chunk stand those before it, and a line for each pack before its own.
        self.cut(number + pack)

    def close(self) -> None:
        """Leave the record as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Remove the record."""
        self.close()
        self.path.unlink(missing_ok=True)

    @property
    def _end(self) -> int:
        return self._ends[-1][0] if self._ends else self._begin

    def _counted(
        self, lines: Sequence[Line], texts: Sequence[bytes]
    ) -> list[tuple[int, int]]:
        """Return where further lines end, and the bytes in packs up to there."""
        end, stored, ends = self._end, self.stored_size, []
        for line, text in zip(lines, texts, strict=True):
            end += len(text)
            stored += line.chunk.stored_size if isinstance(line, Stored) else 0
            ends.append((end, stored))
        return ends

    def _take(self, data: bytes) -> None:
        """Take the lines that are whole, and drop what follows them."""
        texts = data[self._begin :].splitlines(keepends=True)
        whole = takewhile(lambda line: line is not None, map(_parsed, texts))
        self.lines = tuple(line for line in whole if line)
        self._ends = self._counted(self.lines, texts[: len(self.lines)])
        if self._end < len(data):
            os.ftruncate(self._fd, self._end)
            os.fsync(self._fd)


def pack_name(number: int) -> str:
    """Return the file name of a pack; numbers count from 0."""
    return f"data-{number + 1:04}.pack"


def _line(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _value(line: Line) -> list[Any]:
    if isinstance(line, Closed):
        return list(line)
    return [*line.chunk, line.asked]


def _content(line: bytes) -> Any:
    """Return the value of a line; ValueError if it is not as it was written."""
    checksum, _, text = line.partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text[:-1]):
        raise ValueError("torn")
    return json.loads(text)


def _parsed(line: bytes) -> Line | None:
    """Return what a line says, or None if it is not as it was written."""
    try:
        values = _content(line)
        if len(values) == len(Closed._fields):
            size, digest = values
            return Closed(_count(size), Digest(digest))
        digest, size, codec, width, pack, offset, stored_size, stored, asked = values
        numbers = map(_count, (size, width, pack, offset, stored_size, asked))
        size, width, pack, offset, stored_size, asked = numbers
        if codec not in CODECS:
            return None
        chunk = Chunk(
            *(Digest(digest), size, codec, width),
            *(pack, offset, stored_size, Digest(stored)),
        )
        return Stored(chunk, asked)
    except (ValueError, TypeError):
        return None


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _reason(data: bytes, about: Mapping[str, str]) -> str:
    """Say why a record is not one to continue."""
    try:
        found = _content(data[: data.find(b"\n") + 1])
        differing = [key for key in about if found[key] != about[key]]
        key = differing[0]
        return f"{key} was {str(found[key])[:40]!a} then and is {about[key]!a} now"
    except (ValueError, TypeError, KeyError, IndexError):
        return "its record cannot be read"


def _read_all(fd: int) -> bytes:
    parts, at = [], 0
    while part := os.pread(fd, 1 << 20, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)
