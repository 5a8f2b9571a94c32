"""Put weights into the store: read once, hashed before use, kept when cut off.

A file appears in the store only when every byte was verified and synced. What the
journal has of it already is not read from the media again and not written again:
it is read back from the disk, chunk by chunk, for the digest of the whole.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from typing import (
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
)

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest
from sealift_manifests.errors import DigestMismatchError, PayloadError
from sealift_manifests.index import MAX_CHUNK, Content, Index
from sealift_manifests.parallel import (
    Memory,
    core_count,
    large_buffer,
    ordered_map,
)

from sealift_installer import durable
from sealift_installer.layout import Layout
from sealift_installer.patience import Patience
from sealift_installer.progress import Meter
from sealift_installer.shelf import CHECKPOINT, Shelf
from sealift_installer.unfinished import Unfinished

# All wait for the hash of the file, which is one chain, when there are more workers.
_WORKERS = 8
_HASHED_AHEAD = 2


class _Task(NamedTuple):
    """A chunk to bring, or one that is kept and to be read back for the digest."""

    number: int
    start: int
    is_kept: bool


class Work(NamedTuple):
    """What one pass over the media that are there can do, and how much that is."""

    tasks: Tuple[Tuple[Unfinished, Tuple[_Task, ...]], ...]
    size: int


class _Part(NamedTuple):
    file: Unfinished
    task: _Task
    buffer: Memory
    is_last: bool


class Staging:
    """Brings files into the store, in as many passes as it takes.

    Workers read, check, decode and write chunks, each at its place. A thread of its
    own hashes each file in order, and another syncs. A chunk that no source has whole
    is set aside; all others are brought. `names` are those of the files, for people.
    """

    def __init__(
        self,
        layout: Layout,
        index: Index,
        contents: Iterable[Content],
        names: Optional[Mapping[Digest, str]] = None,
    ) -> None:
        durable.make_directories(layout.journal)
        self._layout = layout
        self._index = index
        self._names = names or {}
        self._shelf = Shelf(layout)
        self._hasher = ThreadPoolExecutor(1)
        self._hashing: Deque[Tuple[Future[None], Memory]] = deque()
        self._free: List[Memory] = []
        self._files: Dict[Digest, Unfinished] = {
            content.digest: Unfinished(layout, content) for content in contents
        }

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._hasher.shutdown()
            for file in self._files.values():
                if file.is_open:
                    self._shelf.keep(file)
            with suppress(OSError):  # Its own error is on its way already.
                self._shelf.close()
        finally:
            for file in self._files.values():
                if file.is_open:
                    file.close()

    def missing(self) -> Tuple[int, ...]:
        """Return the numbers of the chunks that are still to be brought."""
        found = (
            task.number
            for file in self._files.values()
            for task in self._tasks(file)
            if not task.is_kept
        )
        return tuple(sorted(set(found)))

    def plan(self, bundle: Bundle) -> Work:
        """Look at what the media of the bundle have, and decide what to do with it."""
        work = []
        for file in self._files.values():
            tasks = [t for t in self._tasks(file) if t.start >= file.hashed]
            here = [t for t in tasks if t.is_kept or bundle.is_at_hand(t.number)]
            # Kept bytes are needed for the digest only: not before all can be had.
            if len(here) < len(tasks):
                here = [task for task in here if not task.is_kept]
            if here or not file.content.chunks:
                work.append((file, tuple(here)))
        chunks = self._index.chunks
        size = sum(chunks[task.number].size for _, tasks in work for task in tasks)
        return Work(tuple(work), size)

    def run(self, bundle: Bundle, work: Work, progress: Meter) -> None:
        """Do this work. What could not be had whole is `missing` afterwards.

        Raises StagingError when the disk does not take it, DigestMismatchError when
        good chunks make another file than was signed.
        """
        patience = Patience(bundle)
        with durable.failures_told(self._layout.state):
            filled = ordered_map(
                lambda part: (part, self._fill(bundle, part)),
                self._parts(bundle, work),
                workers=min(core_count(), _WORKERS),
            )
            with closing(filled):
                for part, plain in filled:
                    progress.at(self._name(part.file))
                    progress(len(plain or b""))
                    patience.note(part.task.number)
                    self._take(part, plain)
            self._shelf.wait()

    def _tasks(self, file: Unfinished) -> Iterator[_Task]:
        for number, start in self._index.places(file.content):
            end = start + self._index.chunks[number].size
            # What was hashed is on its way to the disk: it is not needed again.
            yield _Task(number, start, file.has((start, end)))

    def _parts(self, bundle: Bundle, work: Work) -> Iterator[_Part]:
        for file, tasks in work.tasks:
            file.open()
            for task in tasks:
                if not task.is_kept:
                    bundle.expect(task.number)
                buffer = self._free.pop() if self._free else large_buffer(MAX_CHUNK)
                yield _Part(file, task, buffer, task is tasks[-1])
            if not file.content.chunks:
                self._finish(file)

    def _fill(self, bundle: Bundle, part: _Part) -> Optional[memoryview]:
        """Return the plain bytes of a chunk, which are on the disk then, if it has any.

        One that was kept and that the disk has lost is brought again.
        """
        chunk, start = self._index.chunks[part.task.number], part.task.start
        if part.task.is_kept:
            if part.file.has_hole:
                return None  # There will be no digest this time.
            target = memoryview(part.buffer)[: chunk.size]
            kept = part.file.read_back(target, start, chunk.digest)
            if kept is not None:
                return kept
        try:
            plain = bundle.read_chunk(part.task.number, part.buffer)
        except (DigestMismatchError, PayloadError):
            if chunk.is_base:
                raise  # The store's fault: no medium could give it.
            return None
        part.file.write(plain, start)
        return plain

    def _take(self, part: _Part, plain: Optional[memoryview]) -> None:
        """Hash what comes next in its file; see that what is written is synced."""
        file, start = part.file, part.task.start
        if plain is None:
            file.has_hole = True
        else:
            file.unlisted += len(plain)
            file.start_writeback(start + len(plain))
        if plain is not None and start == file.hashed:
            file.hashed += len(plain)
            self._hashing.append((self._hasher.submit(file.update, plain), part.buffer))
        else:
            self._free.append(part.buffer)
        while len(self._hashing) > (0 if part.is_last else _HASHED_AHEAD):
            future, buffer = self._hashing.popleft()
            future.result()
            self._free.append(buffer)
        if part.is_last:
            self._end(file)
        elif file.unlisted >= CHECKPOINT:
            self._shelf.keep(file)
            file.unlisted = 0

    def _end(self, file: Unfinished) -> None:
        """Finish a file that is whole; keep what there is of another."""
        if file.hashed == file.content.size:
            self._finish(file)
        else:
            self._shelf.keep(file)
            self._shelf.wait()
            file.close()

    def _finish(self, file: Unfinished) -> None:
        del self._files[file.content.digest]
        try:
            file.check()
        except DigestMismatchError:
            file.discard()
            raise
        self._shelf.put(file)

    def _name(self, file: Unfinished) -> str:
        return self._names.get(file.content.digest, file.content.digest.short)
