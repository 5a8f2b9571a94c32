"""A file on its way into the store: written anywhere, hashed in order, never lost."""

from __future__ import annotations

import hashlib
import os
from threading import Lock
from typing import Callable, List, Optional

from sealift_manifests.digests import Buffer, Digest, digest_of, from_hex
from sealift_manifests.errors import DigestMismatchError
from sealift_manifests.index import Content

from sealift_installer import durable, journal
from sealift_installer.layout import Layout
from sealift_installer.ranges import Range, Ranges, covers, merged, without

_WRITEBACK = 64 << 20
_ROOM = 1 << 20
"""Bytes that are given up on a full disk: more than the list takes."""


class Unfinished:
    """A file of the journal.

    `kept`: its bytes that were verified and synced; `is_listed`: the disk has a list of
    them. `hashed` counts the bytes that went into the digest of the whole, from the
    start on; `has_hole`: some after these are missing. `unlisted` counts what was
    written that nobody has asked to keep yet.

    Workers write and read, one thread hashes, one syncs; the rest is for their caller.
    """

    def __init__(self, layout: Layout, content: Content) -> None:
        self.content = content
        self.hashed = 0
        self.kept: Ranges = journal.had(layout, content)
        self.is_listed = bool(self.kept)
        self._layout = layout
        self._state = hashlib.sha256()
        self._lock = Lock()
        self._fresh: List[Range] = []
        self._fd = -1
        self._flushed = 0
        self._fault: Optional[OSError] = None
        self.has_hole = False
        self.unlisted = 0

    @property
    def path(self) -> str:
        """Where it lies until it is whole."""
        return journal.unfinished(self._layout, self.content.digest)

    @property
    def record(self) -> str:
        """Where the ranges that are kept are listed."""
        return journal.record(self._layout, self.content.digest)

    @property
    def is_open(self) -> bool:
        """Whether it can be written."""
        return self._fd >= 0

    def open(self) -> None:
        """Open it for writing, with what is kept."""
        self._fd = journal.open_unfinished(self._layout, self.content, self.kept)
        self._flushed = self.unlisted = 0
        self.has_hole = False

    def close(self) -> None:
        """Close it; it can be opened again."""
        os.close(self._fd)
        self._fd = -1

    def has(self, wanted: Range) -> bool:
        """Say whether these bytes are kept."""
        return covers(self.kept, wanted)

    def write(self, plain: memoryview, start: int) -> None:
        """Put verified bytes in their place."""
        durable.write_all_at(self._fd, plain, start)
        with self._lock:
            self._fresh.append((start, start + len(plain)))

    def read_back(
        self, target: memoryview, start: int, digest: Digest
    ) -> Optional[memoryview]:
        """Read kept bytes from the disk; None, and no longer kept, if it lost them."""
        if self._read(target, start) and digest_of(target) == digest:
            return target
        with self._lock:
            self.kept = without(self.kept, (start, start + len(target)))
        return None

    def _read(self, target: memoryview, start: int) -> bool:
        done = 0
        try:
            while done < len(target):
                got = os.preadv(self._fd, [target[done:]], start + done)
                if not got:
                    return False
                done += got
        except OSError:
            return False
        return True

    def start_writeback(self, end: int) -> None:
        """Have the disk write what was written up to `end`, once it is much."""
        if end - self._flushed >= _WRITEBACK:
            # Starts the write-back of dirty pages now, while the next are decoded.
            size = end - self._flushed
            os.posix_fadvise(self._fd, self._flushed, size, os.POSIX_FADV_DONTNEED)
            self._flushed = end

    def update(self, plain: Buffer) -> None:
        """Hash the bytes that come next."""
        self._state.update(plain)

    def keep(self) -> None:
        """Sync what was written, then list it: a run that comes later goes on there."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        self._sync(os.fdatasync)
        self.is_listed = True
        with self._lock:
            self.kept = merged((*self.kept, *fresh))
        try:
            journal.write_record(self._layout, self.content, self.kept)
        except OSError as error:
            # What lies behind may be cut off now: this run must not go on with it.
            self._fault = error
            if error.errno in durable.FULL:
                self._list_on_full_disk()
            raise

    def _list_on_full_disk(self) -> None:
        """Give up the end of the file, so that the list of what is kept has room."""
        with self._lock:
            start, end = self.kept[-1]
            cut = max(start, end - _ROOM)
            self.kept, self._fresh = without(self.kept, (cut, end)), []
        os.ftruncate(self._fd, cut)
        if self.kept:
            journal.write_record(self._layout, self.content, self.kept)

    def check(self) -> None:
        """Raise DigestMismatchError unless this is the file that was signed."""
        measured = from_hex(self._state.hexdigest())
        if measured != self.content.digest:
            raise DigestMismatchError(
                f"the chunks of {self.content.digest.short} make another file "
                f"({measured.short}) than was signed",
                hint="The bundle was built wrongly. Ask for a new one.",
            )

    def discard(self) -> None:
        """Close it, and leave nothing of it."""
        self.close()
        durable.remove_file(self.record)
        durable.remove_file(self.path)

    def seal(self) -> None:
        """Make the whole file read-only and durable, and close it."""
        try:
            os.fchmod(self._fd, 0o444)
            self._sync(os.fsync)
        finally:
            self.close()

    def _sync(self, sync: Callable[[int], None]) -> None:
        """Sync; after a failure never again, for the kernel forgets what it lost."""
        if self._fault is not None:
            raise self._fault
        try:
            sync(self._fd)
        except OSError as error:
            self._fault = error
            raise
