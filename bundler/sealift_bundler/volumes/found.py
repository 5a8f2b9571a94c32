"""What was found in a volume: names with owners and modes. Pure: opens nothing.

What cannot be carried is collected, and told at once.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from sealift_manifests.digests import Buffer, Digest
from sealift_manifests.errors import SourceContentError, UnsafePathError
from sealift_manifests.paths import check_inner_path
from sealift_manifests.volume_entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    LINK,
    MAX_TARGET,
    ROOT,
    VolumeItem,
)

from sealift_bundler.leaks.rules import Leak

_SHOWN = 20
_REFUSED = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class FoundItem:
    """A name in a volume as its source has it.

    `node` is the same for the names of one file; `target` that of a symbolic link.
    `mode` has the kind too, as stat does.
    """

    path: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    node: object
    target: str | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)


@dataclass(frozen=True)
class Scan:
    """All that was found: names sorted by path, the root first; notes and leaks.

    `files` leads from the path of each file to what it is, each file once.
    """

    items: tuple[FoundItem, ...]
    leaks: frozenset[Leak] = frozenset()
    notes: tuple[str, ...] = ()

    @cached_property
    def firsts(self) -> dict[object, str]:
        """The first path of each file, by its node."""
        found: dict[object, str] = {}
        for item in self.items:
            if item.is_file:
                found.setdefault(item.node, item.path)
        return found

    @cached_property
    def files(self) -> dict[str, FoundItem]:
        """Each file once, by the first of its paths."""
        firsts = self.firsts
        return {i.path: i for i in self.items if firsts.get(i.node) == i.path}

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(item.size for item in self.files.values())


Pieces = Iterator[tuple[Buffer, int]]
Take = Callable[[str, Pieces], None]
"""Takes a file by its path, as pieces of (bytes, element width)."""


class Reader(Protocol):
    """Reads a volume: first what is in it, then the bytes of its files."""

    def scan(self) -> Scan:
        """Look at everything in the volume."""

    def read(self, scan: Scan, take: Take) -> None:
        """Give each file to `take`, once; raise SourceContentError if one changed."""


class Faults:
    """Collects what cannot be carried, and tells all of it at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[str] = []

    def add(self, path: str, fault: str) -> None:
        """Note what is wrong with a name."""
        shown = path if path.isprintable() else ascii(path)
        self._found.append(f"{shown}: {fault}")

    def check(self, item: FoundItem) -> None:
        """Note what keeps a name from being carried."""
        kind = _REFUSED.get(stat.S_IFMT(item.mode))
        if kind:
            self.add(item.path, f"is {kind}, which is no data")
        try:
            if item.path != ROOT:
                check_inner_path(item.path)
        except UnsafePathError as error:
            self.add(item.path, error.message)
        target = item.target
        if target is None:
            return
        try:
            size = len(target.encode("utf-8"))
        except UnicodeEncodeError:
            size = 0
        if not 0 < size <= MAX_TARGET:
            self.add(item.path, "leads to a name that is no text, or too long")

    def tell(self) -> None:
        """Raise SourceContentError if there is anything to tell."""
        if not self._found:
            return
        shown = sorted(self._found)[:_SHOWN]
        more = len(self._found) - len(shown)
        lines = [*shown, *([f"and {more} more"] if more else [])]
        raise SourceContentError(
            f"volume {self._name} cannot be carried:\n  " + "\n  ".join(lines),
            hint="Stop what uses it (a server removes its sockets and pipes then), "
            "remove or rename these, and build again.",
        )


def entry_items(scan: Scan, packed: Mapping[str, Digest]) -> Iterator[VolumeItem]:
    """Yield what a manifest lists; `packed` has the digest of each file, by path."""
    firsts = scan.firsts
    for item in scan.items:
        plain = VolumeItem(
            path=item.path,
            kind=DIRECTORY,
            mode=stat.S_IMODE(item.mode),
            uid=item.uid,
            gid=item.gid,
            mtime=max(0, item.mtime),
        )
        if item.target is not None:
            yield replace(plain, kind=LINK, mode=0, target=item.target)
        elif not item.is_file:
            yield plain
        elif firsts[item.node] == item.path:
            digest = packed[item.path]
            yield replace(plain, kind=FILE, size=item.size, digest=digest)
        else:
            yield VolumeItem(item.path, HARDLINK, target=firsts[item.node])


def in_order(items: Iterable[FoundItem]) -> tuple[FoundItem, ...]:
    """Return items sorted by path, the root first."""
    return tuple(sorted(items, key=lambda i: (i.path != ROOT, i.path)))


def changed(name: str, path: str) -> SourceContentError:
    """Return the error for a file that is not what it was when it was looked at."""
    return SourceContentError(
        f"volume {name}: {path} changed while it was read",
        hint="Something writes to it: a copy of it would be of no time at all. Stop "
        "that, and build again.",
    )
