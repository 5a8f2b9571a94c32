"""Are the bytes of a fetched file the bytes its commit names? Asked while packing.

The Hub client compares only sizes. The packer reads and hashes every byte once anyway:
its SHA-256 settles the large files, and it hands the bytes of the others, which Git
names in its own way, to their `ContentCheck`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from sealift_manifests.digests import Buffer, Digest
from sealift_manifests.errors import SourceContentError

from .hub_values import HubFile, HubRevision


class _Hash(Protocol):
    def update(self, data: Buffer, /) -> None: ...
    def hexdigest(self) -> str: ...


class ContentCheck:
    """Takes a file's bytes in order; `finish` raises if they are not the upstream's."""

    def __init__(self, revision: HubRevision, file: HubFile, source: Path) -> None:
        self._revision = revision
        self._file = file
        self._source = source
        self._size = 0
        self._hash: _Hash = hashlib.sha256()
        if file.git_sha1 is not None:
            # Git names a file by SHA-1; the Hub lists nothing else for small files.
            self._hash = hashlib.sha1(usedforsecurity=False)
            self._hash.update(b"blob %d\0" % file.size)

    @property
    def wants_bytes(self) -> bool:
        """Whether the SHA-256 of the bytes is not enough."""
        return self._file.sha256 is None

    def update(self, buffer: Buffer) -> None:
        """Take the next bytes."""
        self._size += memoryview(buffer).nbytes
        self._hash.update(buffer)

    def finish(self) -> None:
        """Compare with what the commit names; forget the copy if it differs."""
        self._compare(self._size, self._hash.hexdigest())

    def finish_with(self, size: int, digest: Digest) -> None:
        """Do the same with bytes that were measured elsewhere, on the same reading."""
        self._compare(size, digest.hex)

    def _compare(self, size: int, found: str) -> None:
        expected = self._file.sha256 or self._file.git_sha1 or ""
        if (size, found) == (self._file.size, expected):
            return
        forget(self._source)
        kind = "sha256" if self._file.sha256 else "git blob id"
        raise SourceContentError(
            f"{self._file.path} of {self._revision.repo} is not the file of commit "
            f"{self._revision.commit}: expected {kind} {expected[:12]} and "
            f"{self._file.size} bytes, found {found[:12]} and {size} bytes",
            hint=f"The copy ({self._source}) was removed from the cache: run the build "
            "again to fetch it anew. If it differs again, do not use the model: the "
            "Hub, a mirror or a proxy changes it.",
        )


def expected_check(revision: HubRevision, file: HubFile, source: Path) -> ContentCheck:
    """Return a fresh check for `file`, whose fetched copy lies at `source`."""
    return ContentCheck(revision, file, source)


def forget(path: Path) -> None:
    """Remove a fetched copy, so that the next run fetches it again.

    Takes what `snapshot` returned. The link that is left dangling in the cache counts
    as "not there" for the Hub client.
    """
    path.unlink(missing_ok=True)
