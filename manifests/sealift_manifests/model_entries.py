"""Files and models as a manifest lists them. Values that check themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

from sealift_manifests.digests import Digest
from sealift_manifests.paths import check_inner_paths, is_label
from sealift_manifests.records import require

LAYOUTS = ("flat", "hf-cache")
DEFAULT_BRANCH = "main"
"""What a client asks the Hub for when it names no revision."""

_BLOB_NAME = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_HUB_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}"
_REPO = re.compile(rf"(?:{_HUB_PART}/)?{_HUB_PART}\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True)
class FileEntry:
    """A file: its path below the root of its tree, its size in bytes, its digest."""

    path: str
    size: int
    digest: Digest

    def __post_init__(self) -> None:
        require(self.size >= 0, f"{self.path}: the size is negative")


@dataclass(frozen=True)
class ModelFile(FileEntry):
    """A file of a model.

    `blob` is the name the Hub cache gives it under `blobs/`: the LFS sha256, or
    the git sha1 of files that are not in LFS, in hex.
    """

    blob: Optional[str] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.blob is None or _BLOB_NAME.match(self.blob),
            f"{self.path}: {self.blob!r} is not a Hub blob name",
        )
        require(
            len(self.blob or "") != 64 or self.blob == self.digest.hex,
            f"{self.path}: its blob name is another sha256 than its digest",
        )


@dataclass(frozen=True)
class ModelSource:
    """Where a model came from: a Hub repo at a commit, or a local path."""

    kind: str
    repo: Optional[str] = None
    revision: Optional[str] = None
    commit: Optional[str] = None

    def __post_init__(self) -> None:
        require(self.kind in ("huggingface", "path"), f"unknown kind {self.kind!r}")
        if self.kind == "huggingface":
            require(_REPO.match(self.repo or ""), f"bad repo {self.repo!r}")
            require(_COMMIT.match(self.commit or ""), f"bad commit {self.commit!r}")
            check_inner_paths([self.revision or ""])
        else:
            hub = (self.repo, self.revision, self.commit)
            require(hub == (None, None, None), "a path has no repo or revision")


@dataclass(frozen=True)
class ModelEntry:
    """A model: its files, and the layout in which a container mounts them.

    `tree` is the digest of `weights-<name>.sha256`, the checksum list of the
    mounted tree; it names the tree on the host. `accepted` lists files with code
    or pickles that the spec let in by name of the risk.
    """

    name: str
    layout: str
    source: ModelSource
    files: Tuple[ModelFile, ...]
    tree: Digest
    accepted: Tuple[str, ...] = ()
    facts: Dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(is_label(self.name), f"bad model name {self.name!r}")
        require(self.layout in LAYOUTS, f"unknown layout {self.layout!r}")
        require(self.files, f"model {self.name} has no files")
        check_inner_paths(file.path for file in self.files)
        if self.layout == "hf-cache":
            require(self.source.kind == "huggingface", "hf-cache needs a Hub repo")
            self._check_hub_names()

    def _check_hub_names(self) -> None:
        """Check that no two names of the Hub cache are in each other's way."""
        check_inner_paths(sorted({self.source.revision or "", DEFAULT_BRANCH}))
        blobs: Dict[Optional[str], Digest] = {}
        for file in self.files:
            require(file.blob, f"{file.path}: hf-cache needs a blob name")
            same = blobs.setdefault(file.blob, file.digest) == file.digest
            require(same, f"{file.path}: two files have the blob name {file.blob}")

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def listing_name(self) -> str:
        """The bundle file that lists the checksums of the mounted tree."""
        return f"weights-{self.name}.sha256"
