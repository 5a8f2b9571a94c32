"""What runs that were cut off left behind, and what lies there that is not ours.

Goes by the names that only Sealift gives: anything else is foreign, is named, and
stays. Nothing that a release on the host needs is left over.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, replace
from typing import Iterable, Iterator, List, Tuple

from sealift_manifests.paths import is_label

from sealift_installer import durable, ledger
from sealift_installer.containers import Container
from sealift_installer.host import Host
from sealift_installer.layout import Layout
from sealift_installer.things import Things, bytes_freed
from sealift_installer.trees import walk

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_UNFINISHED = re.compile(r"\.[A-Za-z0-9._-]+\.(?:partial|old|gone)\Z")
_PREFIX = re.compile(r"[0-9a-f]{2}\Z")
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, order=True)
class Foreign:
    """A path that stays although no release needs it, and why."""

    path: str
    why: str

    def __str__(self) -> str:
        """Return it in one line, for people."""
        return f"{self.path}: {self.why}"


@dataclass(frozen=True)
class Leftovers:
    """Paths that nothing needs: trees, stored files, and what is not whole.

    `journal` are files that an install goes on from, `unfinished` what it makes anew.
    """

    trees: Tuple[str, ...] = ()
    contents: Tuple[str, ...] = ()
    journal: Tuple[str, ...] = ()
    unfinished: Tuple[str, ...] = ()
    foreign: Tuple[Foreign, ...] = ()

    @property
    def paths(self) -> Tuple[str, ...]:
        """All that may go."""
        return (*self.work, *self.unfinished)

    @property
    def work(self) -> Tuple[str, ...]:
        """What an install that was cut off would not bring again: it is verified."""
        return (*self.trees, *self.contents, *self.journal)

    def without_work(self) -> Leftovers:
        """Return what may go while an install is unfinished."""
        return replace(self, trees=(), contents=(), journal=())


def find_leftovers(
    layout: Layout, needed: Things, found: Iterable[Container]
) -> Leftovers:
    """Look through the state directory. The caller holds the lock: nobody writes."""
    look = _Look(layout, needed, tuple(found))
    look.store()
    look.volumes()
    look.releases()
    for folder in ("current", "history", "serials"):
        path = os.path.join(layout.state, folder)
        look.unfinished += [each for each in _entries(path) if each.endswith(".new")]
    return Leftovers(
        tuple(look.trees),
        tuple(look.contents),
        tuple(_entries(layout.journal)),
        tuple(look.unfinished),
        tuple(sorted(look.foreign)),
    )


def sweep(host: Host, leftovers: Leftovers, event: str) -> int:
    """Remove leftovers, log it as this event, and return the bytes that were freed."""
    freed = bytes_freed(leftovers.paths)
    for tree in leftovers.trees:
        durable.discard_directory(tree)
    for path in (*leftovers.contents, *leftovers.journal, *leftovers.unfinished):
        durable.remove_any(path)
    for path in leftovers.paths:
        durable.remove_empty_parents(os.path.dirname(path), host.layout.state)
    ledger.append(host.layout, event, host.now(), freed=freed)
    return freed


class _Look:
    """Sorts what lies in the state directory, folder by folder."""

    def __init__(
        self, layout: Layout, needed: Things, containers: Tuple[Container, ...]
    ) -> None:
        self._layout = layout
        self._needed = needed
        # Few have anything of ours, and to look costs time for each path.
        self._users = [c for c in containers if c.mounts(layout.state, layout.state)]
        self.trees: List[str] = []
        self.contents: List[str] = []
        self.unfinished: List[str] = []
        self.foreign: List[Foreign] = []

    def store(self) -> None:
        for folder in _entries(self._layout.store):
            prefix = os.path.basename(folder)
            if not (_PREFIX.match(prefix) and _is_directory(folder)):
                self._leave(folder)
                continue
            for path in _entries(folder):
                name = os.path.basename(path)
                if not (_HEX.match(name) and name[:2] == prefix and _is_file(path)):
                    self._leave(path)
                elif path not in self._needed.contents:
                    self._take(self.contents, path)

    def volumes(self) -> None:
        for folder in self._folders(self._layout.volumes):
            for path in _entries(folder):
                name = os.path.basename(path)
                if _UNFINISHED.match(name):
                    self._take(self.unfinished, path)
                elif path in self._needed.trees:
                    continue
                elif not (_HEX.match(name) and _is_directory(path)):
                    self._leave(path)
                else:
                    self._take_tree(path)

    def releases(self) -> None:
        for folder in self._folders(self._layout.releases):
            for path in _entries(folder):
                if _UNFINISHED.match(os.path.basename(path)):
                    self._take(self.unfinished, path)
                elif not _is_directory(path):
                    self._leave(path)

    def _folders(self, root: str) -> Iterator[str]:
        """Yield the folders that have the name of a bundle or a model."""
        for path in _entries(root):
            name = os.path.basename(path)
            if _UNFINISHED.match(name):
                self._take(self.unfinished, path)
            elif is_label(name) and _is_directory(path):
                yield path
            else:
                self._leave(path)

    def _take_tree(self, path: str) -> None:
        added = list(_added(path))
        for each in added:
            self._leave(each)
        if not added:
            self._take(self.trees, path)

    def _take(self, into: List[str], path: str) -> None:
        for container in self._users:
            if container.mounts(path, self._layout.state):
                why = f"container {container.name} has it mounted"
                self.foreign.append(Foreign(path, why))
                return
        into.append(path)

    def _leave(self, path: str) -> None:
        self.foreign.append(Foreign(path, "not made by Sealift"))


def _added(tree: str) -> Iterator[str]:
    """Yield files of a tree that no release knows which Sealift cannot have made.

    All that it puts there can be read only.
    """
    for name, status in walk(tree):
        is_ours = stat.S_ISREG(status.st_mode) and not status.st_mode & _WRITABLE
        if not is_ours and not stat.S_ISLNK(status.st_mode):
            yield os.path.join(tree, name)


def _entries(folder: str) -> List[str]:
    if not _is_directory(folder):
        return []
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _is_file(path: str) -> bool:
    return stat.S_ISREG(os.lstat(path).st_mode)
