"""One pass over the data: measure, encode, store in packs, keep the index.

A reader feeds pieces; a pool of threads measures and encodes them; stored chunks
are written in the order of the pieces, so the same inputs give the same bytes.
What is in flight is bounded, so memory stays constant at any size. Where chunks are
stored, and what an earlier run has stored, is for `packs`.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

from sealift_manifests.codecs import RAW, SHUFFLE_ZSTD
from sealift_manifests.digests import Buffer, Digest, digest_of, from_hex
from sealift_manifests.index import MAX_CHUNK, Content, Index, base_chunk
from sealift_manifests.parallel import core_count

from sealift_bundler.behind import checksum
from sealift_bundler.buffers import Buffers
from sealift_bundler.encode import encode
from sealift_bundler.inorder import InOrder
from sealift_bundler.packs import Measured, Packs, Resumed
from sealift_bundler.part_size import MAX_PART_SIZE
from sealift_bundler.target import Target

# All wait for the hash of the file, which is one chain, when there are more workers.
_WORKERS = 8
_SETTLING = 2


class Observer(Protocol):
    """Sees the bytes of a file as they go by, in order."""

    def update(self, data: Buffer) -> None:
        """Take the next bytes."""


@dataclass
class Packed:
    """A file that was handed to the packer; valid after `Packer.drain`.

    `name` is for people.
    """

    name: str = ""
    size: int = 0
    chunks: list[Digest] = field(default_factory=list)
    measured: Future[Digest] | None = None
    left_out: bool = False

    @property
    def digest(self) -> Digest:
        """The digest of the whole file: that of its chunk, when it has only one."""
        if self.measured is None:
            return self.chunks[0] if self.chunks else digest_of(b"")
        return self.measured.result()


@dataclass(frozen=True)
class _Taken:
    """A piece on its way; `observed` is when its file's hash has passed it."""

    packed: Packed
    data: Buffer
    measured: Future[Measured]
    observed: Future[None] | None


class Packer:
    """Writes packs of at most `part_size` bytes to `target`.

    Goes on where an earlier run has stopped, as far as the same chunks come; `resumed`
    is told how far that was, if there was one. Chunks in `held` are measured and left
    out. Memory that comes from `buffers` is given back to them once it is stored.
    """

    def __init__(
        self,
        target: Target,
        part_size: int = MAX_PART_SIZE,
        resumed: Callable[[Resumed], None] = lambda _: None,
        *,
        held: frozenset[Digest] = frozenset(),
    ) -> None:
        self._packs = Packs(target, part_size, resumed)
        self._held = held
        workers = min(core_count(), _WORKERS)
        self._ahead = workers + 2
        self._pool = ThreadPoolExecutor(workers, "encode")
        self._files = InOrder("measure-file")
        self._waiting: deque[_Taken] = deque()
        self._settling: deque[tuple[list[Buffer], list[Future[None]]]] = deque()
        self._places: set[Digest] = set()
        self._left_out: dict[Digest, int] = {}
        self._contents: list[Packed] = []
        self.buffers = Buffers()

    @property
    def pack_digests(self) -> dict[str, Digest]:
        """The digest of each finished pack, by its name."""
        return self._packs.digests

    @property
    def read_back(self) -> frozenset[int]:
        """The numbers of the chunks that were read back from the disk, and are good."""
        return self._packs.read_back

    def expect(self, size: int) -> None:
        """Say how many bytes are still to come, about, for errors about a full disk."""
        self._packs.left = size

    def add(
        self,
        pieces: Iterable[tuple[Buffer, int]],
        observers: Sequence[Observer] = (),
        name: str = "",
        *,
        left_out: bool = False,
    ) -> Packed:
        """Take a file as pieces of (bytes, element width); each at most 8 MiB.

        The buffers must not change afterwards. `observers` see the same bytes. A file
        that is `left_out` is measured and not stored: a host has it whole.
        """
        packed = Packed(name, left_out=left_out)
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

    def add_bytes(self, data: bytes, name: str = "") -> Packed:
        """Take a small file that is in memory."""
        ends = range(0, len(data), MAX_CHUNK)
        pieces = ((data[start : start + MAX_CHUNK], 1) for start in ends)
        return self.add(pieces, name=name)

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
        self._packs.finish()
        left = {d: size for d, size in self._left_out.items() if d not in self._places}
        chunks = (*self._packs.chunks, *(base_chunk(*each) for each in left.items()))
        numbers = {chunk.digest: number for number, chunk in enumerate(chunks)}
        contents = {
            packed.digest: Content(
                packed.digest, packed.size, tuple(numbers[d] for d in packed.chunks)
            )
            for packed in self._contents
        }
        return Index(tuple(self._packs.packs), chunks, contents)

    def __enter__(self) -> Packer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._files.close()
        if kind:
            self._packs.leave()
        else:
            self._packs.close()

    def _submit(
        self, packed: Packed, data: Buffer, width: int, observed: Future[None] | None
    ) -> None:
        packed.size += len(data)
        measure = self._measure_only if packed.left_out else self._measure
        measured = self._pool.submit(measure, data, width)
        self._waiting.append(_Taken(packed, data, measured, observed))
        if len(self._waiting) >= self._ahead:
            self._store_next()

    def _measure(self, data: Buffer, width: int) -> Measured:
        digest = digest_of(data)
        is_known = digest in self._places or digest in self._held
        if is_known or self._packs.expects(digest):
            return Measured(digest, width)
        return self._encode(digest, data, width)

    def _encode(self, digest: Digest, data: Buffer, width: int) -> Measured:
        room = self.buffers.take(len(data))
        encoded = encode(data, width, room)
        if encoded.codec != SHUFFLE_ZSTD:
            self.buffers.give_back(room)
        raw = encoded.codec == RAW
        stored_digest = digest if raw else digest_of(encoded.stored)
        check = checksum(encoded.stored)
        return Measured(digest, width, len(data), encoded, stored_digest, check)

    def _measure_only(self, data: Buffer, width: int) -> Measured:
        return Measured(digest_of(data), width)

    def _store_next(self) -> None:
        taken = self._waiting.popleft()
        measured = taken.measured.result()
        digest, data = measured.digest, taken.data
        users = [taken.observed] if taken.observed else []
        memory = [data]
        if taken.packed.left_out or digest in self._held:
            self._left_out[digest] = len(data)
        elif digest not in self._places:
            self._packs.now = taken.packed.name
            if not self._packs.keep(digest, measured.asked):
                if measured.encoded is None:
                    measured = self._encode(digest, data, measured.asked)
                users.append(self._packs.store(measured))
            self._places.add(digest)
        if measured.encoded and measured.encoded.stored is not data:
            memory.append(measured.encoded.stored)
        taken.packed.chunks.append(digest)
        self._packs.left = max(0, self._packs.left - len(data))
        self._settling.append((memory, users))
        if len(self._settling) > _SETTLING:
            self._settle_next()

    def _settle_next(self) -> None:
        memory, users = self._settling.popleft()
        for user in users:
            user.result()
        for each in memory:
            self.buffers.give_back(each)


def _observe(data: Buffer, state: Observer, observers: Sequence[Observer]) -> None:
    state.update(data)
    for observer in observers:
        observer.update(data)
