"""Where a bundle is written: a directory, or one tar.

Everything is written under a hidden name beside the final one and synced; the
final name appears only when the bundle is whole.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from sealift_manifests import ustar
from sealift_manifests.digests import Buffer
from sealift_manifests.errors import BusyError, OutputError, SealiftError
from sealift_manifests.index import Pack
from sealift_manifests.media import MediaFile

from sealift_bundler.durable import sync_directory

_UNWRITABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EEXIST, errno.ENOTDIR, errno.EFBIG),
)


class Sink(Protocol):
    """An open file of the bundle. Closing it makes it durable."""

    def write(self, data: Buffer) -> None:
        """Append bytes."""

    def close(self) -> None:
        """Finish the file and sync it."""


class Target(Protocol):
    """A place that takes the files of a bundle, each once, packs first."""

    @property
    def path(self) -> Path:
        """Where the unfinished bundle lies: it can be opened as Media."""

    def create(self, name: str) -> Sink:
        """Begin the next file; the one before it is closed."""

    def reserve(self, files: Sequence[tuple[str, int]]) -> Callable[[int], Sink]:
        """Make room for the next files, of known names and sizes in bytes.

        Returns what begins one of them by its number; they may be written at once.
        """

    def finish(self) -> None:
        """Make the whole bundle durable under its unfinished name."""

    def commit(self) -> Path:
        """Give it its final name and return that."""

    def abandon(self) -> None:
        """Remove what was written."""


class DirectoryTarget:
    """A bundle as a directory of files."""

    def __init__(self, final: Path) -> None:
        self._final = final
        self.path = final.with_name(f".{final.name}.partial")
        if self.path.exists():
            shutil.rmtree(self.path)
        self.path.mkdir()

    def create(self, name: str) -> Sink:
        """Begin the file `name`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return _FileSink(os.open(self.path / name, flags, 0o644))

    def reserve(self, files: Sequence[tuple[str, int]]) -> Callable[[int], Sink]:
        """Return what begins one of these files."""
        return lambda number: self.create(files[number][0])

    def finish(self) -> None:
        """Sync the directory; its files are synced already."""
        sync_directory(self.path)

    def commit(self) -> Path:
        """Rename the directory to its final name."""
        self.path.rename(self._final)
        sync_directory(self._final.parent)
        return self._final

    def abandon(self) -> None:
        """Remove the unfinished directory."""
        shutil.rmtree(self.path, ignore_errors=True)


class TarTarget:
    """A bundle as one uncompressed tar, its members below one directory name."""

    def __init__(self, final: Path, *, mtime: int) -> None:
        self._final = final
        self._mtime = mtime
        self._folder = final.name.removesuffix(".tar")
        self.path = final.with_name(f".{final.name}.partial")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o644)

    def create(self, name: str) -> Sink:
        """Begin the member `name`; its header is written when it is closed."""
        return _MemberSink(self._fd, f"{self._folder}/{name}", self._mtime)

    def reserve(self, files: Sequence[tuple[str, int]]) -> Callable[[int], Sink]:
        """Write what lies around these members; return what begins one of them."""
        at, starts = os.lseek(self._fd, 0, os.SEEK_CUR), []
        for name, size in files:
            header = ustar.header(f"{self._folder}/{name}", size, self._mtime)
            os.pwrite(self._fd, header, at)
            starts.append(at + len(header))
            at += len(header) + size + len(ustar.padding(size))
            os.ftruncate(self._fd, at)
        os.lseek(self._fd, at, os.SEEK_SET)
        return lambda number: _PlacedSink(self._fd, starts[number])

    def finish(self) -> None:
        """Write the end of the archive and sync it."""
        _write_all(self._fd, ustar.END)
        os.fsync(self._fd)

    def commit(self) -> Path:
        """Rename the archive to its final name."""
        os.close(self._fd)
        self.path.rename(self._final)
        sync_directory(self._final.parent)
        return self._final

    def abandon(self) -> None:
        """Remove the unfinished archive."""
        os.close(self._fd)
        self.path.unlink(missing_ok=True)


@contextmanager
def open_target(
    directory: Path, name: str, *, tar: bool, mtime: int
) -> Iterator[Target]:
    """Give a place for the bundle `name` below `directory`; remove it on failure.

    Raises OutputError when the name is taken or the disk is full, BusyError when
    another build is writing the same bundle.
    """
    final = directory / (f"{name}.tar" if tar else name)
    with _output_faults(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with _lock(directory / f".{name}.lock", final):
            if final.exists():
                raise OutputError(
                    f"{final} exists already",
                    hint="Move it away, choose another -o, or raise the version in "
                    "the spec.",
                )
            target: Target
            target = TarTarget(final, mtime=mtime) if tar else DirectoryTarget(final)
            try:
                yield target
            except BaseException:
                target.abandon()
                raise


class _FileSink:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: Buffer) -> None:
        _write_all(self._fd, data)

    def close(self) -> None:
        os.fsync(self._fd)
        os.close(self._fd)


class _MemberSink:
    """A tar member whose size is known only at its end."""

    def __init__(self, fd: int, name: str, mtime: int) -> None:
        self._fd = fd
        self._name = name
        self._mtime = mtime
        self._size = 0
        self._start = os.lseek(fd, 0, os.SEEK_CUR)
        _write_all(fd, ustar.header(name, 0, mtime))

    def write(self, data: Buffer) -> None:
        _write_all(self._fd, data)
        self._size += len(data)

    def close(self) -> None:
        _write_all(self._fd, ustar.padding(self._size))
        os.pwrite(
            self._fd, ustar.header(self._name, self._size, self._mtime), self._start
        )


class _PlacedSink:
    """A tar member that has its place already."""

    def __init__(self, fd: int, start: int) -> None:
        self._fd = fd
        self._at = start

    def write(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        while view:
            done = os.pwrite(self._fd, view, self._at)
            view, self._at = view[done:], self._at + done

    def close(self) -> None:
        """Leave syncing to the end of the archive."""


@contextmanager
def open_written(
    path: Path, packs: Sequence[Pack], wanted: Sequence[int]
) -> Iterator[list[MediaFile]]:
    """Open some of the packs that an unfinished bundle at `path` begins with.

    `wanted` are their numbers, in rising order.
    """
    is_tar, start = path.is_file(), 0
    with ExitStack() as opened:
        files = []
        for number, pack in enumerate(packs):
            if number in wanted:
                place = path if is_tar else path / pack.name
                fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
                opened.callback(os.close, fd)
                at = start + ustar.BLOCK if is_tar else 0
                label = f"{path}:{pack.name}" if is_tar else str(place)
                files.append(MediaFile(fd, label, at, pack.size, str(path)))
            start += ustar.BLOCK + pack.size + len(ustar.padding(pack.size))
        yield files


def _write_all(fd: int, data: Buffer) -> None:
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def _lock(path: Path, final: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _is_held(fd, path):
            raise BusyError(
                f"another build is writing {final}",
                hint="Wait until it has finished, or build into another directory.",
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _is_held(fd: int, path: Path) -> bool:
    """Lock an open file, and say whether it is still the one at `path`.

    A build that ends removes its lock file, maybe after this one has opened it.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(fd), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


@contextmanager
def _output_faults(directory: Path) -> Iterator[None]:
    try:
        yield
    except SealiftError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(directory).free
            raise OutputError(
                f"the disk of {directory} is full ({free / 2**30:.2f} GiB were free "
                "after the unfinished bundle was removed)",
                hint="Make room there, or choose another place with -o. Downloads are "
                "kept: the next run does not repeat them.",
            ) from error
        if error.errno in _UNWRITABLE:
            raise OutputError(
                f"{directory} cannot be written: {error.strerror}",
                hint="Choose another place with -o, or a smaller --part-size for "
                "FAT32 (4 GiB - 1 at most).",
            ) from error
        raise
