"""One medium that a bundle is copied to: its folder there, bytes in and bytes back.

A file is written under a hidden name, synced, renamed, and then read back from the
medium. What stands under a final name was hashed before it was written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from sealift_manifests.digests import Buffer
from sealift_manifests.errors import BusyError
from sealift_manifests.measured_units import bad_ranges, measured
from sealift_manifests.media import MediaFile
from sealift_manifests.parity import Unit

from sealift_bundler.durable import sync_directory
from sealift_bundler.medium_faults import medium_faults, require_kind
from sealift_bundler.page_cache import forget

Progress = Callable[[int], None]

_SYNC_EACH = 64 << 20
"""Bytes after which a slow medium is waited for: memory does not fill with what is
not written yet, and progress is that of the medium."""

_UNTOLD = 1 << 60
"""Room on a file system that does not tell how much it has."""


@dataclass(frozen=True)
class ReadBack:
    """What came back: byte ranges [start, end) that are wrong or unreadable.

    `from_memory` says why some of it may have come from memory; empty if none did.
    """

    bad: tuple[tuple[int, int], ...]
    from_memory: str = ""


@dataclass(frozen=True)
class MediumFolder:
    """The folder of a bundle on a medium that is mounted at `place`."""

    place: Path
    name: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.place / self.name

    def partial(self, name: str) -> Path:
        """Return where a file lies while it is written."""
        return self.path / f".{name}.partial"

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those of these files that are there.

        Raises OutputError where something else has such a name.
        """
        sizes = {}
        with medium_faults(self.place, self.name):
            require_kind(self.place, os.path.isdir)
            if os.path.lexists(self.path):
                require_kind(self.path, _is_folder)
            for name in names:
                path = self.path / name
                if os.path.lexists(path):
                    require_kind(path, _is_file)
                    sizes[name] = path.lstat().st_size
        return sizes

    def partial_size(self, name: str) -> int:
        """Return how much of a file was written before a run was cut off."""
        try:
            return self.partial(name).lstat().st_size
        except OSError:
            return 0

    def room(self) -> tuple[int, int]:
        """Return the free bytes and the unit in which files take them."""
        with medium_faults(self.place, "a copy"):
            free = os.statvfs(self.place)
        unit = max(free.f_frsize, 1)
        return (free.f_bavail * unit if free.f_blocks else _UNTOLD), unit

    def largest_file(self) -> int | None:
        """Return the size of the longest file the file system takes; None: any.

        The kernel lets nobody seek past it: 4 GiB - 1 on FAT32.
        """
        with medium_faults(self.place, "a copy"), _probe(self.place) as fd:
            low, high = 0, 2**63 - 1
            while low < high:
                middle = (low + high + 1) // 2
                try:
                    os.lseek(fd, middle, os.SEEK_SET)
                    low = middle
                except (OverflowError, OSError):
                    high = middle - 1
        return low if low < 2**50 else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep other runs out of it."""
        with medium_faults(self.place, self.name):
            if not self.path.exists():
                self.path.mkdir()
                sync_directory(self.place)
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(fd, self.path)
            yield
        finally:
            os.close(fd)

    def write(self, name: str, blocks: Iterable[Buffer], start: int = 0) -> None:
        """Write a file from byte `start` of its partial file on, and name it."""
        temporary = self.partial(name)
        with medium_faults(self.place, name):
            fd = _open(temporary, os.O_WRONLY | os.O_CREAT)
            try:
                os.ftruncate(fd, start)
                os.lseek(fd, start, os.SEEK_SET)
                _write_blocks(fd, blocks)
                os.fsync(fd)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    temporary.unlink()  # It cannot be finished here.
                raise
            finally:
                os.close(fd)
            temporary.replace(self.path / name)
            sync_directory(self.path)

    def remove(self, *paths: Path) -> None:
        """Remove files of the folder, those of them that are there."""
        with medium_faults(self.place, self.name):
            for path in paths:
                path.unlink(missing_ok=True)
            sync_directory(self.path)

    def good_start(self, name: str, units: Sequence[Unit]) -> int:
        """Return how many leading units a partial file holds whole and good."""
        if not self.partial_size(name):
            return 0
        with medium_faults(self.place, name):
            fd = _open(self.partial(name), os.O_RDONLY)
            try:
                file = self._media_file(fd, self.partial(name))
                with closing(measured(file, units)) as answers:
                    return sum(1 for _ in takewhile(bool, answers))
            finally:
                os.close(fd)

    def read_back(
        self, name: str, units: Sequence[Unit], progress: Progress
    ) -> ReadBack:
        """Read a large file from the medium and compare each of its units."""
        path = self.path / name
        with medium_faults(self.place, name):
            fd = _open(path, os.O_RDONLY)
            try:
                from_memory = forget(fd)
                file = self._media_file(fd, path)
                return ReadBack(bad_ranges(file, units, progress), from_memory)
            finally:
                os.close(fd)

    def _media_file(self, fd: int, path: Path) -> MediaFile:
        return MediaFile(fd, str(path), 0, os.fstat(fd).st_size, str(self.place))

    def holds(self, name: str, data: bytes) -> bool:
        """Say whether a file on the medium has these bytes, and no more."""
        with medium_faults(self.place, name):
            try:
                fd = _open(self.path / name, os.O_RDONLY)
            except FileNotFoundError:
                return False
            with open(fd, "rb") as stream:
                forget(fd)
                return stream.read(len(data) + 1) == data


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BusyError(
            f"another run is copying to {path}",
            hint="Wait until it has finished, or name another medium.",
        ) from error


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)


@contextmanager
def _probe(place: Path) -> Iterator[int]:
    """Give a file without a name, or with one that is gone at once."""
    with tempfile.TemporaryFile(dir=place, prefix=".sealift-") as file:
        yield file.fileno()


def _write_blocks(fd: int, blocks: Iterable[Buffer]) -> None:
    waiting = 0
    for block in blocks:
        view = memoryview(block).cast("B")
        waiting += len(view)
        while view:
            view = view[os.write(fd, view) :]
        if waiting >= _SYNC_EACH:
            os.fdatasync(fd)
            waiting = 0
