"""What a Hub says about a repo: values only, no network."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubFile:
    """A file of a commit: the sha256 of its bytes (LFS), or else its git blob id.

    The git blob id of an LFS file is that of its pointer file, so it is left out.
    """

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None

    def __post_init__(self) -> None:
        if not self.path or self.size < 0:
            raise ValueError(f"not a file of a Hub repo: {self.path!r}, {self.size}")
        if (self.sha256 is None) == (self.git_sha1 is None):
            raise ValueError(f"{self.path}: expected a sha256 or a git id, not both")
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.path}: not a sha256: {self.sha256[:80]!r}")
        if self.git_sha1 is not None and not _SHA1.fullmatch(self.git_sha1):
            raise ValueError(f"{self.path}: not a git blob id: {self.git_sha1[:80]!r}")


@dataclass(frozen=True)
class HubRevision:
    """What was asked for (`repo`, `revision`) and the commit and files it meant."""

    repo: str
    revision: str
    commit: str
    files: tuple[HubFile, ...]

    def __post_init__(self) -> None:
        if not _SHA1.fullmatch(self.commit):
            raise ValueError(f"not a commit: {self.commit[:80]!r}")
        if len({file.path for file in self.files}) != len(self.files):
            raise ValueError("a file is listed twice")
