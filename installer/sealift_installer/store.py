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
from typing import Deque, Iterable, Iterator, List, Optional, Set, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import DigestMismatchError, StagingError
from sealift_manifests.index import Content
from sealift_manifests.parallel import ordered_map
from sealift_manifests.verify import Progress

from sealift_installer import durable
from sealift_installer.layout import Layout

_WRITEBACK = 64 << 20
_UNSYNCED_FILES = 64


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
    contents = tuple(contents)
    numbers = [n for content in contents for n in content.chunks]
    plain = ordered_map(bundle.read_chunk, numbers)
    try:
        with _Shelf(layout) as shelf:
            for content in contents:
                _stage_one(layout, content, plain, shelf, progress)
    except OSError as error:
        raise _staging_fault(layout, error) from error
    finally:
        plain.close()  # type: ignore[attr-defined]
        clear_journal(layout)


def clear_journal(layout: Layout) -> None:
    """Remove what an interrupted run left unfinished."""
    if os.path.isdir(layout.journal):
        for name in os.listdir(layout.journal):
            durable.remove_file(os.path.join(layout.journal, name))


def _stage_one(
    layout: Layout,
    content: Content,
    plain: Iterator[memoryview],
    shelf: _Shelf,
    progress: Progress,
) -> None:
    unfinished = os.path.join(layout.journal, content.digest.hex)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(unfinished, flags, 0o600)
    try:
        measured = _write(fd, content, plain, shelf, progress)
        if measured != content.digest:
            raise DigestMismatchError(
                f"the chunks of {content.digest.short} make another file "
                f"({measured.short}) than was signed",
                hint="The bundle was built wrongly. Ask for a new one.",
            )
        os.fchmod(fd, 0o444)
    except BaseException:
        os.close(fd)
        raise
    shelf.put(fd, unfinished, layout.content(content.digest))


def _write(
    fd: int,
    content: Content,
    plain: Iterator[memoryview],
    shelf: _Shelf,
    progress: Progress,
) -> Digest:
    state = hashlib.sha256()
    hashed: Optional[Future[None]] = None
    written = flushed = 0
    for _ in content.chunks:
        data = next(plain)
        if hashed:
            hashed.result()
        hashed = shelf.hasher.submit(state.update, data)
        durable.write_all(fd, data)
        written += len(data)
        if written - flushed >= _WRITEBACK:
            # Starts the write-back of dirty pages now, while the next are decoded.
            os.posix_fadvise(fd, flushed, written - flushed, os.POSIX_FADV_DONTNEED)
            flushed = written
        progress(len(data))
    if hashed:
        hashed.result()
    return from_hex(state.hexdigest())


class _Shelf:
    """Syncs finished files and gives them their names, beside the writing."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._syncer = ThreadPoolExecutor(1)
        self.hasher = ThreadPoolExecutor(1)
        self._waiting: Deque[Future[None]] = deque()
        self._folders: Set[str] = set()

    def __enter__(self) -> _Shelf:
        return self

    def __exit__(self, kind: Optional[type], *_: object) -> None:
        try:
            while self._waiting:
                self._waiting.popleft().result()
            for folder in sorted(self._folders):
                durable.sync_directory(folder)
        finally:
            self._syncer.shutdown()
            self.hasher.shutdown()

    def put(self, fd: int, unfinished: str, final: str) -> None:
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


def unused_contents(layout: Layout, used: Set[str]) -> List[str]:
    """Return the paths in the store that no installed release needs."""
    unused = []
    for folder, _, names in os.walk(layout.store):
        for name in names:
            if f"sha256:{name}" not in used:
                unused.append(os.path.join(folder, name))
    return sorted(unused)
