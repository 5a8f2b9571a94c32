"""Open files of a bundle that is being written: plain files, and members of a tar."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from sealift_manifests import ustar
from sealift_manifests.digests import Buffer

from sealift_bundler.durable import sync_directory, write_all

_BLOCK = 1 << 20


class Place(NamedTuple):
    """Where the bytes of a file of the bundle lie: from `start` on in the file `path`.

    `name` is its own name, `label` says for people where it is.
    """

    path: Path
    start: int
    name: str
    label: str


class Sink(Protocol):
    """An open file of the bundle. Closing it makes it durable."""

    @property
    def place(self) -> Place:
        """Where it can be read."""

    def write(self, data: Buffer) -> None:
        """Append bytes."""

    def sync(self) -> None:
        """Make durable what was written so far; another thread may write meanwhile."""

    def blocks(self) -> Iterator[bytes]:
        """Read what is in the file, from its begin to its end."""

    def cut(self, size: int) -> None:
        """Leave only the first `size` bytes."""

    def close(self) -> None:
        """Finish the file and sync it."""


class FileSink:
    """A file of its own, of which `size` bytes are there already."""

    def __init__(self, fd: int, size: int, path: Path) -> None:
        self._fd = fd
        self._size = size
        self._path = path
        self._is_named = False

    @property
    def place(self) -> Place:
        """Where it can be read."""
        return Place(self._path, 0, self._path.name, str(self._path))

    def write(self, data: Buffer) -> None:
        """Append bytes."""
        write_all(self._fd, data, self._size)
        self._size += memoryview(data).nbytes

    def sync(self) -> None:
        """Sync the bytes, and at first the name of the file too."""
        os.fsync(self._fd)
        if not self._is_named:
            sync_directory(self._path.parent)
            self._is_named = True

    def blocks(self) -> Iterator[bytes]:
        """Read what is in the file."""
        return _blocks(self._fd, 0, self._size)

    def cut(self, size: int) -> None:
        """Leave only the first `size` bytes."""
        os.ftruncate(self._fd, size)
        self._size = size

    def close(self) -> None:
        """Sync and close it."""
        self.sync()
        fd, self._fd = self._fd, -1
        os.close(fd)


class MemberSink:
    """A tar member at `start`, whose size is known only at its end."""

    def __init__(self, fd: int, path: Path, start: int, name: str, mtime: int) -> None:
        self._fd = fd
        self._path = path
        self.start = start
        self._name = name
        self._mtime = mtime
        self.size = 0

    @property
    def place(self) -> Place:
        """Where it can be read."""
        own = self._name.rpartition("/")[2]
        return Place(self._path, self._data, own, f"{self._path}:{own}")

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self._data + self.size + len(ustar.padding(self.size))

    def begin(self, kept: int) -> None:
        """Make room behind the first `kept` bytes, which are there already."""
        self.size = kept
        if kept:
            self.cut(kept)
        else:
            os.ftruncate(self._fd, self.start)
            self.seal()

    def write(self, data: Buffer) -> None:
        """Append bytes."""
        write_all(self._fd, data, self._data + self.size)
        self.size += memoryview(data).nbytes

    def sync(self) -> None:
        """Sync the archive."""
        os.fsync(self._fd)

    def blocks(self) -> Iterator[bytes]:
        """Read what is in the member."""
        return _blocks(self._fd, self._data, self.size)

    def cut(self, size: int) -> None:
        """Leave only the first `size` bytes of the member, and nothing behind it."""
        os.ftruncate(self._fd, self._data + size)
        self.size = size

    def seal(self) -> None:
        """Write what lies around the data: header and padding."""
        header = ustar.header(self._name, self.size, self._mtime)
        write_all(self._fd, header, self.start)
        write_all(self._fd, ustar.padding(self.size), self._data + self.size)

    def close(self) -> None:
        """Write what lies around the data, and sync."""
        self.seal()
        self.sync()

    @property
    def _data(self) -> int:
        return self.start + ustar.BLOCK


def _blocks(fd: int, start: int, size: int) -> Iterator[bytes]:
    at = 0
    while at < size:
        block = os.pread(fd, min(_BLOCK, size - at), start + at)
        if not block:
            raise OSError(None, "a pack ends early")
        yield block
        at += len(block)
