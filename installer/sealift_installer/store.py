"""Put weights into the content-addressed store: read once, hashed before use.

A file appears in the store only when every byte was verified and synced. What is
there already is not read from the medium again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Deque, Dict, Iterable, Iterator, List, NamedTuple, Set, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import DigestMismatchError, StagingError
from sealift_manifests.index import MAX_CHUNK, Content
from sealift_manifests.parallel import core_count, ordered_map
from sealift_manifests.verify import Progress

from sealift_installer import durable
from sealift_installer.layout import Layout

_WRITEBACK = 64 << 20
_UNSYNCED_FILES = 64
# All wait for the hash of the file, which is one chain, when there are more workers.
_WORKERS = 8
_HASHED_AHEAD = 2


def missing_contents(layout: Layout, bundle: Bundle) -> Tuple[Content, ...]:
    """Return the model files the store lacks, in the order they lie in the packs."""
    wanted = {file.digest for model in bundle.manifest.models for file in model.files}
    contents = [bundle.index.contents[digest] for digest in wanted]
    absent = [content for content in contents if not is_stored(layout, content)]
    return tuple(sorted(absent, key=lambda content: (content.chunks, content.digest)))


def is_stored(layout: Layout, content: Content) -> bool:
    """Say whether the store holds this file, by name, kind and size."""
    try:
        status = os.lstat(layout.content(content.digest))
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == content.size


def stage(
    layout: Layout, bundle: Bundle, contents: Iterable[Content], progress: Progress
) -> None:
    """Bring these files from the bundle into the store.

    Raises DigestMismatchError or PayloadError for a bad medium, StagingError when
    the disk does not take them. What was finished before stays: it is whole.
    """
    durable.make_directories(layout.journal)
    clear_journal(layout)
    try:
        with _Stage(layout, bundle) as staging:
            staging.run(contents, progress)
    except OSError as error:
        raise _staging_fault(layout, error) from error
    finally:
        clear_journal(layout)


def clear_journal(layout: Layout) -> None:
    """Remove what an interrupted run left unfinished."""
    if os.path.isdir(layout.journal):
        for name in os.listdir(layout.journal):
            durable.remove_any(os.path.join(layout.journal, name))


class _Unfinished:
    """A file on its way into the store, under a hidden name."""

    def __init__(self, layout: Layout, content: Content) -> None:
        self.content = content
        self.path = os.path.join(layout.journal, content.digest.hex)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self.fd = os.open(self.path, flags, 0o600)
        self.state = hashlib.sha256()
        self.hashed = self._flushed = 0

    def count(self, size: int) -> None:
        """Note that this many more bytes are written, from the start on."""
        self.hashed += size
        if self.hashed - self._flushed >= _WRITEBACK:
            # Starts the write-back of dirty pages now, while the next are decoded.
            size = self.hashed - self._flushed
            os.posix_fadvise(self.fd, self._flushed, size, os.POSIX_FADV_DONTNEED)
            self._flushed = self.hashed

    def check(self) -> None:
        """Raise DigestMismatchError unless this is the file that was signed."""
        measured = from_hex(self.state.hexdigest())
        if measured != self.content.digest:
            raise DigestMismatchError(
                f"the chunks of {self.content.digest.short} make another file "
                f"({measured.short}) than was signed",
                hint="The bundle was built wrongly. Ask for a new one.",
            )
        os.fchmod(self.fd, 0o444)


class _Part(NamedTuple):
    """A chunk of an unfinished file, and the memory to decode it in."""

    file: _Unfinished
    number: int
    offset: int
    buffer: bytearray


class _Stage:
    """Fills files from the packs.

    Workers read, check, decode and write chunks, each at its place. A thread of its
    own hashes each file in order, and another syncs what is finished.
    """

    def __init__(self, layout: Layout, bundle: Bundle) -> None:
        self._layout = layout
        self._bundle = bundle
        self._shelf = _Shelf(layout)
        self._hasher = ThreadPoolExecutor(1)
        self._hashing: Deque[Tuple[Future[None], bytearray]] = deque()
        self._free: List[bytearray] = []
        self._open: Dict[Digest, _Unfinished] = {}

    def __enter__(self) -> _Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._hasher.shutdown()
        for file in self._open.values():
            os.close(file.fd)
        self._shelf.close()

    def run(self, contents: Iterable[Content], progress: Progress) -> None:
        """Stage the files, in this order."""
        workers = min(core_count(), _WORKERS)
        filled = ordered_map(self._fill, self._parts(contents), workers=workers)
        with closing(filled):
            for part, plain in filled:
                progress(len(plain))
                self._hash(part, plain)

    def _parts(self, contents: Iterable[Content]) -> Iterator[_Part]:
        for content in contents:
            file = _Unfinished(self._layout, content)
            self._open[content.digest] = file
            offset = 0
            for number in content.chunks:
                buffer = self._free.pop() if self._free else bytearray(MAX_CHUNK)
                yield _Part(file, number, offset, buffer)
                offset += self._bundle.index.chunks[number].size
            if not content.chunks:
                self._finish(file)

    def _fill(self, part: _Part) -> Tuple[_Part, memoryview]:
        plain = self._bundle.read_chunk(part.number, part.buffer)
        durable.write_all_at(part.file.fd, plain, part.offset)
        return part, plain

    def _hash(self, part: _Part, plain: memoryview) -> None:
        file = part.file
        future = self._hasher.submit(file.state.update, plain)
        self._hashing.append((future, part.buffer))
        file.count(len(plain))
        is_last = file.hashed == file.content.size
        while len(self._hashing) > (0 if is_last else _HASHED_AHEAD):
            future, buffer = self._hashing.popleft()
            future.result()
            self._free.append(buffer)
        if is_last:
            self._finish(file)

    def _finish(self, file: _Unfinished) -> None:
        file.check()
        del self._open[file.content.digest]
        self._shelf.put(file.fd, file.path, self._layout.content(file.content.digest))


class _Shelf:
    """Syncs finished files and gives them their names, beside the writing."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._syncer = ThreadPoolExecutor(1)
        self._waiting: Deque[Future[None]] = deque()
        self._folders: Set[str] = set()

    def close(self) -> None:
        """Wait until all that was put here is durable."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
            for folder in sorted(self._folders):
                durable.sync_directory(folder)
        finally:
            self._syncer.shutdown()

    def put(self, fd: int, unfinished: str, final: str) -> None:
        """Take a finished file, still open."""
        folder = os.path.dirname(final)
        durable.make_directories(folder)
        self._folders.add(folder)
        self._waiting.append(self._syncer.submit(_finish, fd, unfinished, final))
        if len(self._waiting) > _UNSYNCED_FILES:
            self._waiting.popleft().result()


def _finish(fd: int, unfinished: str, final: str) -> None:
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(unfinished, final)


def _staging_fault(layout: Layout, error: OSError) -> StagingError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StagingError(
            f"the file system of {layout.state} became full while weights were staged",
            hint="Make room there and run install again: what is staged is kept.",
        )
    return StagingError(
        f"weights could not be written to {layout.state}: {error}",
        hint="Check the file system and its permissions, then run install again.",
    )
