"""The packs of a bundle: stored chunks back to back, in files of at most one part.

Continues what an earlier run has left, as long as the chunks that come are those of its
record, and keeps a record itself. Measuring and encoding is `pack`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import SealiftError
from sealift_manifests.index import Chunk, Pack

from sealift_bundler.behind import ReadBehind, Written
from sealift_bundler.encode import Encoded
from sealift_bundler.inorder import InOrder
from sealift_bundler.output import output_faults
from sealift_bundler.part_size import require_part_size
from sealift_bundler.record import Closed, Line, Stored, pack_name
from sealift_bundler.sinks import Place, Sink
from sealift_bundler.target import Target

_SYNC_EVERY = 128 << 20
"""Bytes after which what was written is synced and recorded, in the background."""


@dataclass(frozen=True)
class Measured:
    """A chunk, the element width that its piece had, and what its stored bytes are.

    Of one that is expected to be stored already nothing else is known.
    """

    digest: Digest
    asked: int
    size: int = 0
    encoded: Encoded | None = None
    stored_digest: Digest | None = None
    checksum: bytes = b""


@dataclass(frozen=True)
class Resumed:
    """What was taken over from an earlier run, in bytes of packs.

    `lost` bytes more were there, but at the file `at` something else came than had been
    packed then. `at` is empty at the end of all files.
    """

    kept: int
    lost: int
    at: str


class _Stretch(NamedTuple):
    """Chunks of one pack that become durable together, from number `first` on."""

    place: Place
    first: int
    written: tuple[Written, ...]


class Packs:
    """Writes packs of at most `part_size` bytes to `target`.

    `chunks`, `packs` and `digests` (of finished packs, by name) grow. For people, `now`
    is the file that is being stored, and `left` how many bytes are still to come at
    most. `resumed` is told once what was taken over, if an earlier run had left
    anything. Raises OutputError.
    """

    def __init__(
        self, target: Target, part_size: int, resumed: Callable[[Resumed], None]
    ) -> None:
        require_part_size(part_size)
        self.chunks: list[Chunk] = []
        self.packs: list[Pack] = []
        self.digests: dict[str, Digest] = {}
        self.left = 0
        self.now = ""
        self._target = target
        self._part_size = part_size
        self._resumed = resumed
        self._old = target.record.lines
        self._taken = 0
        self._expected = frozenset(
            line.chunk.digest for line in self._old if isinstance(line, Stored)
        )
        self._sink: Sink | None = None
        self._offset = 0
        self._state = hashlib.sha256()
        self._hashing = InOrder("measure-pack")
        self._syncing = InOrder("sync-pack")
        self._behind = ReadBehind()
        self._sync: Future[None] | None = None
        self._unsynced = 0
        self._pending: list[Written] = []
        self._is_sound = True

    @property
    def read_back(self) -> frozenset[int]:
        """The numbers of the chunks that the disk gave back as they were written."""
        return frozenset(self._behind.good)

    def expects(self, digest: Digest) -> bool:
        """Say whether an earlier run has probably stored this chunk. Any thread."""
        return digest in self._expected

    def keep(self, digest: Digest, asked: int) -> bool:
        """Take a chunk over from the earlier run, if it is the next one there."""
        ahead = [*self._old[self._taken : self._taken + 2]]
        line = next((each for each in ahead if isinstance(each, Stored)), None)
        if not line or (line.chunk.digest, line.asked) != (digest, asked):
            return False
        with self._faults():
            if self._is_full(line.chunk.stored_size) and not self._keep_pack():
                return False
        place = line.chunk.pack, line.chunk.offset
        if self._next_old() is not line or place != (len(self.packs), self._offset):
            return False
        self._taken += 1
        self.chunks.append(line.chunk)
        self._offset = line.end
        return True

    def store(self, measured: Measured) -> Future[None]:
        """Write a chunk; return when the hash of its pack has passed it."""
        encoded, stored_digest = measured.encoded, measured.stored_digest
        assert encoded and stored_digest, "a chunk to store is encoded"
        size = len(encoded.stored)
        with self._faults():
            sink = self._room_for(size)
            sink.write(encoded.stored)
            if self._unsynced >= _SYNC_EVERY and not self._is_syncing():
                self._sync_behind(sink)
        hashed = self._hashing.submit(self._state.update, encoded.stored)
        chunk = Chunk(
            digest=measured.digest,
            size=measured.size,
            codec=encoded.codec,
            width=encoded.width,
            pack=len(self.packs),
            offset=self._offset,
            stored_size=size,
            stored_digest=stored_digest,
        )
        self.chunks.append(chunk)
        line = Stored(chunk, measured.asked)
        self._pending.append(Written(line, measured.checksum))
        self._offset += size
        self._unsynced += size
        return hashed

    def finish(self) -> None:
        """Close the last pack."""
        self.now = ""
        with self._faults():
            if self._offset:
                self._close_pack()
            self._wait_for_sync()
            self._end_replay()
            self._behind.finish()

    def leave(self) -> None:
        """After a failure: record what is whole, if the disk still takes that."""
        try:
            self._wait_for_sync()  # For which the pack may still be hashed.
            if self._is_sound:
                if self._sink:
                    self._sink.cut(self._whole())
                    self._soundly(self._sink.sync)
                self._target.record.append([each.line for each in self._pending])
        except (OSError, SealiftError):
            # The failure that led here is told; what was recorded before still holds.
            pass
        finally:
            self.close()
            self._strike_bad()

    def close(self) -> None:
        """End the threads."""
        self._hashing.close()
        self._syncing.close()
        self._behind.close()

    def _strike_bad(self) -> None:
        """Strike from the record what the disk did not give back, and all behind it."""
        if self._behind.bad is not None:
            with suppress(OSError):
                chunk = self.chunks[self._behind.bad]
                self._target.record.strike(self._behind.bad, chunk.pack)

    def _faults(self) -> AbstractContextManager[None]:
        path = self._target.path
        return output_faults(path.parent, self.left, path)

    # What an earlier run has left

    def _next_old(self) -> Line | None:
        return self._old[self._taken] if self._taken < len(self._old) else None

    def _keep_pack(self) -> bool:
        """Take the whole pack over, if it was closed at this size."""
        line = self._next_old()
        if not isinstance(line, Closed) or line.size != self._offset:
            return False
        pack = Pack(pack_name(len(self.packs)), line.size)
        self._target.keep(pack)
        self._taken += 1
        self.digests[pack.name] = line.digest
        self._begin_pack(pack)
        return True

    def _end_replay(self) -> None:
        """Drop what is recorded beyond the chunks that came again."""
        if not self._old:
            return
        rest = (x for x in self._old[self._taken :] if isinstance(x, Stored))
        lost = sum(line.chunk.stored_size for line in rest)
        # The record first: what it tells of must be there at any instant.
        self._target.record.cut(self._taken)
        kept = self._target.record.stored_size
        self._old, self._expected = (), frozenset()
        self._resumed(Resumed(kept, lost, self.now))

    # Packs

    def _is_full(self, size: int) -> bool:
        return self._offset > 0 and self._offset + size > self._part_size

    def _room_for(self, size: int) -> Sink:
        if self._is_full(size):
            self._close_pack()
        return self._sink or self._open()

    def _open(self) -> Sink:
        """Begin a pack, or go on behind what was taken over of it."""
        self._end_replay()
        name = pack_name(len(self.packs))
        self._sink = self._target.create(name, self._offset)
        for block in self._sink.blocks():
            self._hashing.submit(self._state.update, block)
        return self._sink

    def _close_pack(self) -> None:
        if self._sink is None and self._keep_pack():
            return
        sink = self._sink or self._open()
        self._wait_for_sync()
        state, stretch = self._state, self._stretch(sink)
        digest = self._hashing.submit(lambda: from_hex(state.hexdigest()))
        pack = Pack(pack_name(len(self.packs)), self._offset)
        self._sink = None
        self._begin_pack(pack)
        self._sync = self._syncing.submit(self._close_now, sink, pack, digest, stretch)

    def _close_now(
        self, sink: Sink, pack: Pack, digest: Future[Digest], stretch: _Stretch
    ) -> None:
        """Make a pack durable and record its end, while the next is written."""
        self._soundly(sink.close)
        closed = Closed(pack.size, digest.result())
        self.digests[pack.name] = closed.digest
        self._note(stretch, closed)

    def _begin_pack(self, before: Pack) -> None:
        """Begin to count anew, behind this pack."""
        self.packs.append(before)
        self._offset = 0
        self._state = hashlib.sha256()

    def _whole(self) -> int:
        """Return the size of the open pack without a chunk that is not whole."""
        last = self.chunks[-1] if self.chunks else None
        if last is None or last.pack < len(self.packs):
            return 0
        return last.offset + last.stored_size

    # Syncing

    def _is_syncing(self) -> bool:
        return self._sync is not None and not self._sync.done()

    def _sync_behind(self, sink: Sink) -> None:
        """Sync and record what is written, while more is written."""
        self._wait_for_sync()
        stretch = self._stretch(sink)
        self._sync = self._syncing.submit(self._sync_now, sink, stretch)

    def _stretch(self, sink: Sink) -> _Stretch:
        """Return what was stored since the last sync, which counts anew."""
        fresh, self._pending, self._unsynced = self._pending, [], 0
        return _Stretch(sink.place, len(self.chunks) - len(fresh), tuple(fresh))

    def _sync_now(self, sink: Sink, stretch: _Stretch) -> None:
        self._soundly(sink.sync)
        self._note(stretch)

    def _note(self, stretch: _Stretch, *end: Closed) -> None:
        """Record what is synced, and have it read back."""
        self._target.record.append([*(each.line for each in stretch.written), *end])
        self._behind.take(stretch.place, stretch.first, stretch.written)

    def _soundly(self, sync: Callable[[], None]) -> None:
        """Sync; once that fails, nothing is known of bytes that are not recorded.

        The kernel may have dropped them, and a second attempt would succeed.
        """
        try:
            sync()
        except OSError:
            self._is_sound = False
            raise

    def _wait_for_sync(self) -> None:
        # One that failed stays, and fails again: lines after its own would leave a gap.
        if self._sync:
            self._sync.result()
            self._sync = None
