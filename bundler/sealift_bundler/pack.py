"""One pass over the data: measure, encode, store in packs, keep the index.

A reader feeds pieces; a pool of threads measures and encodes them; stored chunks
are written in the order of the pieces, so the same inputs give the same bytes.
What is in flight is bounded, so memory stays constant at any size.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

from sealift_manifests.codecs import RAW
from sealift_manifests.digests import Buffer, Digest, digest_of, from_hex
from sealift_manifests.errors import UsageError
from sealift_manifests.index import MAX_CHUNK, Chunk, Content, Index, Pack
from sealift_manifests.parallel import core_count

from sealift_bundler.encode import Encoded, encode
from sealift_bundler.reading import Buffers
from sealift_bundler.target import Sink, Target

MAX_PART_SIZE = 2**32 - 1
"""The default and largest pack that FAT32 takes, in bytes."""

# All wait for the hash of the file, which is one chain, when there are more workers.
_WORKERS = 8
_SETTLING = 2


Result = TypeVar("Result")


class Observer(Protocol):
    """Sees the bytes of a file as they go by, in order."""

    def update(self, data: Buffer) -> None:
        """Take the next bytes."""


@dataclass
class Packed:
    """A file that was handed to the packer; valid after `Packer.drain`."""

    size: int = 0
    chunks: list[int] = field(default_factory=list)
    measured: Future[Digest] | None = None
    first: Digest | None = None

    @property
    def digest(self) -> Digest:
        """The digest of the whole file: that of its chunk, when it has only one."""
        if self.measured is None:
            return self.first or digest_of(b"")
        return self.measured.result()


@dataclass(frozen=True)
class _Taken:
    """A piece on its way; `observed` is when its file's hash has passed it."""

    packed: Packed
    data: Buffer
    measured: Future[_Measured]
    observed: Future[None] | None


@dataclass(frozen=True)
class _Measured:
    digest: Digest
    size: int
    encoded: Encoded | None
    stored_digest: Digest


class _InOrder:
    """Runs calls one after the other in a thread of its own, a few ahead at most."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._waiting: deque[Future[Any]] = deque()

    def submit(self, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        future = self._pool.submit(call, *arguments)
        self._waiting.append(future)
        if len(self._waiting) > 4:
            self._waiting.popleft().result()
        return future

    def drain(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class Packer:
    """Writes packs of at most `part_size` bytes to `target`.

    `pack_digests` maps each finished pack to the digest of its bytes. Memory that
    comes from `buffers` is given back to them once it is stored.
    """

    def __init__(self, target: Target, part_size: int = MAX_PART_SIZE) -> None:
        if part_size < MAX_CHUNK:
            raise UsageError(
                f"--part-size is {part_size} bytes; at least {MAX_CHUNK} (8 MiB) "
                "are needed",
                hint="Give a larger --part-size, such as 4GiB-1 for FAT32.",
            )
        self._target = target
        self._part_size = part_size
        workers = min(core_count(), _WORKERS)
        self._ahead = workers + 2
        self._pool = ThreadPoolExecutor(workers, "encode")
        self._files = _InOrder("measure-file")
        self._stored = _InOrder("measure-pack")
        self._waiting: deque[_Taken] = deque()
        self._settling: deque[tuple[Buffer, list[Future[None]]]] = deque()
        self._places: dict[Digest, int] = {}
        self._chunks: list[Chunk] = []
        self._packs: list[Pack] = []
        self._contents: list[Packed] = []
        self._sink: Sink | None = None
        self._offset = 0
        self._pack_state = hashlib.sha256()
        self.pack_digests: dict[str, Digest] = {}
        self.buffers = Buffers()

    def add(
        self, pieces: Iterable[tuple[Buffer, int]], observers: Sequence[Observer] = ()
    ) -> Packed:
        """Take a file as pieces of (bytes, element width); each at most 8 MiB.

        The buffers must not change afterwards. `observers` see the same bytes.
        """
        packed = Packed()
        self._contents.append(packed)
        rest = iter(pieces)
        first = list(islice(rest, 2))
        if len(first) < 2 and not observers:
            for data, width in first:
                self._submit(packed, data, width, None)
            return packed
        state = hashlib.sha256()
        for data, width in chain(first, rest):
            observed = self._files.submit(_observe, data, state, observers)
            self._submit(packed, data, width, observed)
        packed.measured = self._files.submit(lambda: from_hex(state.hexdigest()))
        return packed

    def add_bytes(self, data: bytes) -> Packed:
        """Take a small file that is in memory."""
        ends = range(0, len(data), MAX_CHUNK)
        return self.add((data[start : start + MAX_CHUNK], 1) for start in ends)

    def drain(self) -> None:
        """Store everything that is in flight, so that digests are known."""
        while self._waiting:
            self._store_next()
        self._files.drain()
        while self._settling:
            self._settle_next()

    def finish(self) -> Index:
        """Close the last pack and return the index of everything added."""
        self.drain()
        self._close_pack()
        contents = {
            packed.digest: Content(packed.digest, packed.size, tuple(packed.chunks))
            for packed in self._contents
        }
        return Index(tuple(self._packs), tuple(self._chunks), contents)

    def __enter__(self) -> Packer:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._files.close()
        self._stored.close()

    def _submit(
        self, packed: Packed, data: Buffer, width: int, observed: Future[None] | None
    ) -> None:
        packed.size += len(data)
        measured = self._pool.submit(self._measure, data, width)
        self._waiting.append(_Taken(packed, data, measured, observed))
        if len(self._waiting) >= self._ahead:
            self._store_next()

    def _measure(self, data: Buffer, width: int) -> _Measured:
        digest = digest_of(data)
        if digest in self._places:
            return _Measured(digest, len(data), None, digest)
        encoded = encode(data, width)
        raw = encoded.codec == RAW
        stored_digest = digest if raw else digest_of(encoded.stored)
        return _Measured(digest, len(data), encoded, stored_digest)

    def _store_next(self) -> None:
        taken = self._waiting.popleft()
        measured = taken.measured.result()
        users = [taken.observed] if taken.observed else []
        if measured.digest not in self._places:
            self._places[measured.digest] = len(self._chunks)
            users.append(self._store(measured))
        taken.packed.first = taken.packed.first or measured.digest
        taken.packed.chunks.append(self._places[measured.digest])
        self._settling.append((taken.data, users))
        if len(self._settling) > _SETTLING:
            self._settle_next()

    def _settle_next(self) -> None:
        data, users = self._settling.popleft()
        for user in users:
            user.result()
        self.buffers.give_back(data)

    def _store(self, measured: _Measured) -> Future[None]:
        """Write a chunk; return when the hash of its pack has passed it."""
        encoded = measured.encoded
        assert encoded is not None, "only a chunk with a place is not encoded"
        size = len(encoded.stored)
        sink = self._room_for(size)
        sink.write(encoded.stored)
        hashed = self._stored.submit(self._pack_state.update, encoded.stored)
        self._chunks.append(
            Chunk(
                digest=measured.digest,
                size=measured.size,
                codec=encoded.codec,
                width=encoded.width,
                pack=len(self._packs),
                offset=self._offset,
                stored_size=size,
                stored_digest=measured.stored_digest,
            )
        )
        self._offset += size
        return hashed

    def _room_for(self, size: int) -> Sink:
        if self._sink and self._offset + size > self._part_size:
            self._close_pack()
        if self._sink is None:
            self._sink = self._target.create(pack_name(len(self._packs)))
            self._offset = 0
        return self._sink

    def _close_pack(self) -> None:
        if self._sink is None:
            return
        self._sink.close()
        self._sink = None
        name = pack_name(len(self._packs))
        state = self._pack_state
        digest = self._stored.submit(lambda: from_hex(state.hexdigest()))
        self.pack_digests[name] = digest.result()
        self._packs.append(Pack(name, self._offset))
        self._pack_state = hashlib.sha256()


def _observe(data: Buffer, state: Observer, observers: Sequence[Observer]) -> None:
    state.update(data)
    for observer in observers:
        observer.update(data)


def pack_name(number: int) -> str:
    """Return the name of pack `number`, which counts from 0."""
    return f"data-{number + 1:04}.pack"
