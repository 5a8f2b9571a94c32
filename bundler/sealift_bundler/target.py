"""Where a bundle is written: a directory, or one tar.

Everything is written under a hidden name beside the final one and synced; the
final name appears only when the bundle is whole. What a build that failed has left
under the hidden name is kept, with a record of it, for the next one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import zstandard
from sealift_manifests import ustar
from sealift_manifests.errors import BusyError, OutputError
from sealift_manifests.index import Pack
from sealift_manifests.media import MediaFile

from sealift_bundler import __version__
from sealift_bundler.durable import sync_directory, write_all
from sealift_bundler.output import output_faults
from sealift_bundler.record import Record
from sealift_bundler.sinks import FileSink, MemberSink, Sink

MAKER = {
    "sealift": __version__,
    "zstd": ".".join(map(str, zstandard.ZSTD_VERSION)),
    "zstandard": version("zstandard"),
}
"""What decides, beside the sources, which bytes are stored."""


class Target(Protocol):
    """A place that takes the files of a bundle, each once, packs first."""

    @property
    def path(self) -> Path:
        """Where the unfinished bundle lies: it can be opened as Media."""

    @property
    def record(self) -> Record:
        """What is in the packs."""

    def create(self, name: str, kept: int = 0) -> Sink:
        """Begin the next file; the one before it is closed.

        Its first `kept` bytes, left by an earlier run, stay; what is behind them, and
        what lay behind the file, goes.
        """

    def keep(self, pack: Pack) -> None:
        """Take the next file as an earlier run has left it."""

    def reserve(self, files: Sequence[tuple[str, int]]) -> Callable[[int], Sink]:
        """Make room for the next files, of known names and sizes in bytes.

        Returns what begins one of them by its number; they may be written at once.
        """

    def finish(self) -> None:
        """Make what is written durable under its unfinished name, ready to be read.

        More files may follow; it is finished again then.
        """

    def commit(self) -> Path:
        """Give it its final name and return that."""

    def leave(self) -> None:
        """Let go of what was written: keep it if there is a record of it."""


class DirectoryTarget:
    """A bundle as a directory of files."""

    def __init__(self, final: Path, *, fresh: bool = False) -> None:
        self._final = final
        self.path = final.with_name(f".{final.name}.partial")
        self.record = Record(final.with_name(f".{final.name}.record"))
        self.record.load(MAKER, fresh=fresh)
        if self.record.is_empty:
            _remove(self.path)
        self.path.mkdir(exist_ok=True)
        self.record.cut_to(self._held)
        sync_directory(self.path.parent)
        self._names: set[str] = set()
        self._is_cleared = False

    def create(self, name: str, kept: int = 0) -> Sink:
        """Begin the file `name`."""
        if kept:
            self._names.add(name)
        self._clear()
        self._names.add(name)
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        flags |= 0 if kept else os.O_CREAT | os.O_EXCL
        fd = os.open(self.path / name, flags, 0o644)
        os.ftruncate(fd, kept)
        return FileSink(fd, kept, self.path / name)

    def keep(self, pack: Pack) -> None:
        """Take a pack that is there."""
        self._names.add(pack.name)

    def reserve(self, files: Sequence[tuple[str, int]]) -> Callable[[int], Sink]:
        """Return what begins one of these files."""
        return lambda number: self.create(files[number][0])

    def finish(self) -> None:
        """Leave nothing else in it, and sync it; its files are synced already."""
        self._clear()
        sync_directory(self.path)

    def commit(self) -> Path:
        """Rename the directory to its final name."""
        return _commit(self.path, self._final, self.record)

    def leave(self) -> None:
        """Remove the unfinished directory if nothing of it is of use."""
        _leave(self.path, self.record)

    def _clear(self) -> None:
        """Remove, once, what an earlier run has left and this one does not keep."""
        if self._is_cleared:
            return
        for path in self.path.iterdir():
            if path.name not in self._names:
                _remove(path)
        self._is_cleared = True

    def _held(self, packs: Sequence[Pack]) -> list[int]:
        places = [self.path / pack.name for pack in packs]
        return [place.stat().st_size if place.is_file() else 0 for place in places]


class TarTarget:
    """A bundle as one uncompressed tar, its members below one directory name."""

    def __init__(self, final: Path, *, mtime: int, fresh: bool = False) -> None:
        self._final = final
        self._mtime = mtime
        self._folder = final.name.removesuffix(".tar")
        self.path = final.with_name(f".{final.name}.partial")
        self.record = Record(final.with_name(f".{final.name}.record"))
        self.record.load(MAKER, fresh=fresh)
        if self.record.is_empty:
            _remove(self.path)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self.path, flags, 0o644)
        self.record.cut_to(self._held)
        sync_directory(self.path.parent)
        self._last: MemberSink | None = None

    def create(self, name: str, kept: int = 0) -> Sink:
        """Begin the member `name`; its header is written when it is closed."""
        sink = self._next(name)
        sink.begin(kept)
        return sink

    def keep(self, pack: Pack) -> None:
        """Take a member that is there; its header gets the time of this build."""
        sink = self._next(pack.name)
        sink.size = pack.size
        sink.seal()

    def reserve(self, files: Sequence[tuple[str, int]]) -> Callable[[int], Sink]:
        """Write what lies around these members; return what begins one of them."""
        starts = []
        for name, size in files:
            sink = self._next(name)
            sink.size = size
            sink.seal()
            starts.append(sink.start)

        def begin(number: int) -> Sink:
            return self._member(starts[number], files[number][0])

        return begin

    def finish(self) -> None:
        """Write the end of the archive and sync it."""
        end = self._last.end if self._last else 0
        write_all(self._fd, ustar.END, end)
        os.ftruncate(self._fd, end + len(ustar.END))
        os.fsync(self._fd)

    def commit(self) -> Path:
        """Rename the archive to its final name."""
        self._close()
        return _commit(self.path, self._final, self.record)

    def leave(self) -> None:
        """Remove the unfinished archive if nothing of it is of use."""
        self._close()
        _leave(self.path, self.record)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _next(self, name: str) -> MemberSink:
        start = self._last.end if self._last else 0
        self._last = self._member(start, name)
        return self._last

    def _member(self, start: int, name: str) -> MemberSink:
        full = f"{self._folder}/{name}"
        return MemberSink(self._fd, self.path, start, full, self._mtime)

    def _held(self, packs: Sequence[Pack]) -> list[int]:
        total = os.fstat(self._fd).st_size
        held, at = [], 0
        for pack in packs:
            held.append(min(max(0, total - at - ustar.BLOCK), pack.size))
            at += ustar.BLOCK + pack.size + len(ustar.padding(pack.size))
        return held


@contextmanager
def open_target(
    directory: Path, name: str, *, tar: bool, mtime: int, fresh: bool = False
) -> Iterator[Target]:
    """Give a place for the bundle `name` below `directory`.

    What an earlier build has left of it is taken over, unless `fresh`. On failure
    what is recorded is kept, and all else removed.

    Raises OutputError when the name is taken or the disk is full, BusyError when
    another build is writing the same bundle.
    """
    final = directory / (f"{name}.tar" if tar else name)
    with ExitStack() as held:
        with output_faults(directory):
            directory.mkdir(parents=True, exist_ok=True)
            held.enter_context(_lock(directory / f".{name}.lock", final))
            if final.exists():
                raise _taken(final)
            target: Target
            if tar:
                target = TarTarget(final, mtime=mtime, fresh=fresh)
            else:
                target = DirectoryTarget(final, fresh=fresh)
        try:
            yield target
        except BaseException:
            # The failure that led here is told, not one in tidying up.
            with suppress(OSError):
                target.leave()
            raise


def _taken(final: Path) -> OutputError:
    """Return the error; a build that was killed at its very end leaves its record."""
    if not final.with_name(f".{final.name}.partial").exists():
        final.with_name(f".{final.name}.record").unlink(missing_ok=True)
    return OutputError(
        f"{final} exists already",
        hint="Move it away, choose another -o, or raise the version in the spec.",
    )


def _commit(path: Path, final: Path, record: Record) -> Path:
    path.rename(final)
    sync_directory(final.parent)
    record.remove()
    return final


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


def _leave(path: Path, record: Record) -> None:
    if record.is_empty:
        _remove(path)
        record.remove()
    else:
        record.close()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
