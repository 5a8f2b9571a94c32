"""Volumes of data as a manifest lists them. Values that check themselves.

Other than a model, a volume has owners, modes, links and empty directories, and it is
written to once it is on the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Optional, Tuple

from sealift_manifests import records, strictjson
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.paths import check_inner_path, is_label
from sealift_manifests.records import require

FEATURE = "volumes"
"""What a manifest with volumes names in `features`."""

ROOT = "."
"""The path of the directory that is mounted."""

DIRECTORY, FILE, LINK, HARDLINK = "directory", "file", "link", "hardlink"
KINDS = (DIRECTORY, FILE, LINK, HARDLINK)
MAX_MODE = 0o7777
MAX_OWNER = 2**32 - 2
"""The largest uid or gid: the one above means `none` to the kernel."""

MAX_TARGET = 4095

_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")


@dataclass(frozen=True)
class VolumeItem:
    """A name in a volume, with its owner (by number), mode and time.

    Only a file has `size` and `digest`. A link has a `target`: any text for a symbolic
    link, the path of a file of the volume for a hard link, which has nothing else of
    its own. `mtime` is in whole seconds since 1970.
    """

    path: str
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    digest: Optional[Digest] = None
    target: Optional[str] = None

    def __post_init__(self) -> None:
        require(self.kind in KINDS, f"{self.path}: unknown kind {self.kind!r}")
        if self.path != ROOT:
            check_inner_path(self.path)
        require(0 <= self.mode <= MAX_MODE, f"{self.path}: bad mode {self.mode}")
        for owner in (self.uid, self.gid):
            require(0 <= owner <= MAX_OWNER, f"{self.path}: bad owner {owner}")
        require(self.mtime >= 0, f"{self.path}: a time before 1970")
        require(self.size >= 0, f"{self.path}: the size is negative")
        is_file = self.kind == FILE
        require(is_file == (self.digest is not None), f"{self.path}: digest")
        require(is_file or self.size == 0, f"{self.path}: only files have a size")
        self._check_link()

    def _check_link(self) -> None:
        is_link = self.kind in (LINK, HARDLINK)
        require(is_link == (self.target is not None), f"{self.path}: target")
        if self.target is not None:
            size = len(self.target.encode("utf-8"))
            require(0 < size <= MAX_TARGET, f"{self.path}: length of its target")
            require("\0" not in self.target, f"{self.path}: NUL in its target")
        if self.kind == LINK:
            require(self.mode == 0, f"{self.path}: a symbolic link has no mode")
        if self.kind == HARDLINK:
            own = (self.mode, self.uid, self.gid, self.mtime)
            require(not any(own), f"{self.path}: a hard link has nothing of its own")


@dataclass(frozen=True)
class VolumeSource:
    """Where data came from: a volume of an engine, or a directory."""

    kind: str
    volume: Optional[str] = None

    def __post_init__(self) -> None:
        require(self.kind in ("volume", "path"), f"unknown kind {self.kind!r}")
        is_named = bool(self.volume and _SOURCE.match(self.volume))
        require(is_named == (self.kind == "volume"), f"bad volume {self.volume!r}")


@dataclass(frozen=True)
class VolumeEntry:
    """A volume of data: every name in it, its root first, sorted by path."""

    name: str
    source: VolumeSource
    items: Tuple[VolumeItem, ...]
    facts: Dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(is_label(self.name), f"bad volume name {self.name!r}")
        check_items(self.name, self.items)

    @property
    def files(self) -> Tuple[VolumeItem, ...]:
        """The files, each once."""
        return tuple(item for item in self.items if item.kind == FILE)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(item.size for item in self.items)

    @property
    def digest(self) -> Digest:
        """The identity of the volume: the digest of what is listed of it."""
        return listed_digest(self.items)

    @property
    def listing(self) -> bytes:
        """The checksum list of its files, as `sha256sum -c` reads it at its root."""
        return format_volume_listing(self.items)

    @property
    def listing_name(self) -> str:
        """The bundle file that lists the checksums of its files."""
        return f"volume-{self.name}.sha256"


def listed_digest(items: Iterable[VolumeItem]) -> Digest:
    """Return the digest of these items, one line of JSON each."""
    return digest_of(b"".join(strictjson.dump_line(records.encode(i)) for i in items))


def format_volume_listing(items: Iterable[VolumeItem]) -> bytes:
    """Return the checksum list of these items; a hard link is a file like another."""
    lines: List[str] = []
    digests: Dict[str, Digest] = {}
    for item in items:
        if item.digest is not None:
            digests[item.path] = item.digest
    for item in items:
        digest = digests.get(
            (item.target or "") if item.kind == HARDLINK else item.path
        )
        if digest is not None:
            lines.append(f"{digest.hex}  {item.path}\n")
    return "".join(lines).encode("utf-8")


def check_items(name: str, items: Tuple[VolumeItem, ...]) -> None:
    """Raise ValueError unless these are the names of one volume, in their order."""
    require(items and items[0].path == ROOT, f"volume {name} does not begin with .")
    kinds: Dict[str, str] = {}
    before = ""
    for item in items[1:]:
        require(item.path > before, f"volume {name}: {item.path} is out of order")
        before = item.path
    for item in items:
        kinds[item.path] = item.kind
        above = item.path.rpartition("/")[0] or ROOT
        require(
            kinds.get(above) == DIRECTORY, f"volume {name}: {item.path} is in nothing"
        )
    for item in items:
        is_good = item.kind != HARDLINK or kinds.get(item.target or "") == FILE
        require(is_good, f"volume {name}: {item.path} is a link to no file")
