"""One blob, from a registry to `sha256/<hex>` on disk, whole or not at all.

Writes beside, hashes while writing, continues what an earlier run has begun,
and renames at the end. Which blobs, and how many at once, is for `fetch`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO, Protocol

import requests
from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import SourceContentError
from sealift_manifests.references import ImageReference

from sealift_bundler.durable import sync_directory

from .client import RegistryClient, wrong_bytes
from .documents import Descriptor
from .transport import InterruptedTransferError, Patience, read_some

_CHUNK = 1 << 18
_WORTH_A_NEW_START = 1 << 20
_LOCK_POLL_SECONDS = 0.2
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Progress(Protocol):
    """Called with the bytes of the image that are there so far, all blobs together.

    Calls come from several threads, one at a time. The number falls when a blob
    has to begin again.
    """

    def __call__(self, bytes_done: int, /) -> object: ...


class StoppedError(Exception):
    """Another blob has failed; this one was left as it is. Never leaves here."""


class Tally:
    """Adds up what the threads have, and carries the word to stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done: dict[Digest, int] = {}
        self._lock = Lock()
        self.stopped = Event()

    def note(self, digest: Digest, done: int) -> None:
        """Record how much of a blob is there."""
        self.check()
        with self._lock:
            self._done[digest] = done
            self._progress(sum(self._done.values()))

    def check(self) -> None:
        """End the thread if all shall stop."""
        if self.stopped.is_set():
            raise StoppedError


class _Partial:
    """A file being filled, with the digest of what it holds so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hasher = hashlib.sha256()
        self.size = 0

    def reload(self, blob: Descriptor, tally: Tally) -> None:
        """Take over what an earlier run has left, unless it is too much."""
        if os.fstat(self._file.fileno()).st_size > blob.size:
            self.restart()
        while data := self._file.read(_CHUNK):
            self._hasher.update(data)
            self.size += len(data)
            tally.note(blob.digest, self.size)

    def append(self, data: bytes) -> None:
        self._file.write(data)
        self._hasher.update(data)
        self.size += len(data)

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._hasher = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> Digest:
        return from_hex(self._hasher.hexdigest())


@dataclass(frozen=True)
class BlobFetcher:
    """Fetches blobs of one image into one directory."""

    client: RegistryClient
    reference: ImageReference
    directory: Path
    tally: Tally

    def fetch(self, blob: Descriptor) -> Path:
        """Return the path of a blob; what is there already is measured first."""
        final = self.directory / blob.digest.hex
        if self._is_whole(final, blob):
            return final
        beside = final.with_name(f"{final.name}.partial")
        with _locked(beside, self.tally) as file:
            # Another run may have finished it while this one waited for the lock.
            if self._is_whole(final, blob):
                os.unlink(beside)
                return final
            self._complete(file, blob)
            file.flush()
            os.fsync(file.fileno())
            os.replace(beside, final)
        sync_directory(self.directory)
        return final

    def _is_whole(self, path: Path, blob: Descriptor) -> bool:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size != blob.size:
                return False
            found = _Partial(file)
            found.reload(blob, self.tally)
        return found.digest == blob.digest

    def _complete(self, file: BinaryIO, blob: Descriptor) -> None:
        """Fill the file until it is the blob."""
        partial = _Partial(file)
        partial.reload(blob, self.tally)
        # Bytes put together from two transfers may be wrong without anybody's
        # fault, so they get one more chance from the first byte on.
        if self._download(partial, blob):
            if partial.digest == blob.digest:
                return
            partial.restart()
            self._download(partial, blob)
        if partial.digest != blob.digest:
            partial.restart()
            raise wrong_bytes(self.reference, f"blob {blob.digest.short}")

    def _download(self, partial: _Partial, blob: Descriptor) -> bool:
        """Get the missing bytes; return whether more than one transfer made them."""
        registry = self.reference.registry
        what = f"fetching {blob.digest.short} of {self.reference.familiar}"
        patience = Patience(
            self.client.policy, f"{what} from {registry}", self.tally.stopped
        )
        in_pieces = partial.size > 0
        while partial.size < blob.size:
            before = partial.size
            try:
                self._transfer(partial, blob)
            except InterruptedTransferError as error:
                in_pieces = in_pieces or partial.size > 0
                if partial.size - before >= _WORTH_A_NEW_START:
                    patience.renew()
                patience.wait(error)
                self.tally.note(blob.digest, partial.size)
        return in_pieces

    def _transfer(self, partial: _Partial, blob: Descriptor) -> None:
        """Read one answer to its end, never beyond the size of the blob."""
        with self.client.open_blob(
            self.reference, blob.digest, offset=partial.size
        ) as response:
            self._place(response, partial, blob)
            while data := read_some(
                response, min(_CHUNK, blob.size - partial.size + 1)
            ):
                if partial.size + len(data) > blob.size:
                    raise self._wrong_size(blob, "more than")
                partial.append(data)
                self.tally.note(blob.digest, partial.size)
        if partial.size < blob.size:
            raise InterruptedTransferError("the answer ended early")

    def _place(
        self, response: requests.Response, partial: _Partial, blob: Descriptor
    ) -> None:
        """Make the file end where the answer begins."""
        if response.status_code == 206:
            found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != partial.size:
                partial.restart()
                raise InterruptedTransferError("another range came than was asked for")
            total = found[2]
        elif response.status_code == 416:
            partial.restart()
            raise InterruptedTransferError("the registry could not continue")
        else:
            partial.restart()
            total = response.headers.get("Content-Length", "*")
        if total != "*" and total != str(blob.size):
            raise self._wrong_size(blob, f"{total[:20]} bytes, not")

    def _wrong_size(self, blob: Descriptor, found: str) -> SourceContentError:
        return SourceContentError(
            f"{self.reference.registry} sends {found} the {blob.size} bytes that the "
            f"manifest of {self.reference.familiar} gives blob {blob.digest.short}",
            hint="Push the image again. If it stays so, the registry or a proxy on the "
            "way is broken or not to be trusted.",
        )


@contextmanager
def _locked(path: Path, tally: Tally) -> Iterator[BinaryIO]:
    """Open a partial file for one run at a time; another waits for its turn."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        tally.check()
        with os.fdopen(os.open(path, flags, 0o644), "r+b") as file:
            # The run that had the lock may meanwhile have renamed its file.
            if _lock(file.fileno()) and _is_named(file.fileno(), path):
                yield file
                return
        tally.stopped.wait(_LOCK_POLL_SECONDS)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False
