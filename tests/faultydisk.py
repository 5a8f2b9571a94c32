"""A disk that fails at a chosen operation: the power goes, or the system says no.

Stands between the product and the kernel for files below one folder. What a power cut
leaves is made up afterwards from what was synced: names and bytes that were not may be
there, be missing, or be there in part.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any

import pytest

OPERATIONS = ("pwrite", "fsync", "ftruncate", "rename", "unlink", "mkdir", "open")


class PowerCutError(BaseException):
    """The machine is off: nothing in the process may go on."""


class FaultyDisk:
    """Counts operations that change files below `root`, and fails at number `at`.

    `error` is raised there, once; None means that the power goes.
    """

    def __init__(self, root: Path, at: int, error: OSError | None = None) -> None:
        self.root = root
        self.at = at
        self.error = error
        self.count = 0
        self.is_off = False
        self._lock = RLock()
        self._real: dict[str, Callable[..., Any]] = {}
        # What is there already is synced.
        folders = {root, *(path for path in root.rglob("*") if path.is_dir())}
        self._names = {each: {p.name for p in each.iterdir()} for each in folders}
        self._synced = {path: path.read_bytes() for path in _files(root)}
        self._renamed: list[tuple[Path, Path]] = []

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put it between this process and the kernel."""
        with pytest.MonkeyPatch.context() as patch:
            for name in OPERATIONS:
                self._real[name] = getattr(os, name)
                patch.setattr(os, name, self._wrapped(name))
            yield

    def leave_after_power_cut(self, random: Random) -> None:
        """Make the folder what a power cut leaves of it: the synced, and some more."""
        live = {path: path.read_bytes() for path in _files(self.root)}
        folders = {self.root, *(p for p in self.root.rglob("*") if p.is_dir())}
        for path in sorted(self.root.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._restore(self.root, live, folders, random)

    def _restore(
        self, folder: Path, live: dict[Path, bytes], folders: set[Path], random: Random
    ) -> None:
        now = {p.name for p in (*live, *folders) if p.parent == folder}
        synced = self._names.get(folder, set())
        names = {name for name in now ^ synced if random.random() < 0.5}
        names |= now & synced
        for old, new in self._renamed:
            # A thing that is renamed has always one of both names.
            if old.parent == folder:
                names -= {old.name, new.name}
                names.add(random.choice((old, new)).name)
        for name in sorted(names):
            path = folder / name
            if path in self._names or path in folders:
                path.mkdir()
                self._restore(path, live, folders, random)
            else:
                before = self._synced.get(path, b"")
                path.write_bytes(_torn(before, live.get(path, before), random))

    def _wrapped(self, name: str) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **named: Any) -> Any:
            place = self._place(first)
            changes = name != "open" or rest[0] & os.O_CREAT
            if place is None or not changes:
                return self._real[name](first, *rest, **named)
            with self._lock:
                self._maybe_fail(name, first, rest)
                done = self._real[name](first, *rest, **named)
                self._note(name, place, rest)
                return done

        return call

    def _maybe_fail(self, name: str, first: Any, rest: tuple[Any, ...]) -> None:
        if self.is_off:
            raise PowerCutError
        self.count += 1
        if self.count != self.at:
            return
        if name == "pwrite":
            # Half of what was to be written may have arrived.
            data, offset = rest
            self._real[name](first, memoryview(data)[: len(data) // 2], offset)
        if self.error:
            self._drop_unsynced(name, first)
            raise self.error
        self.is_off = True
        raise PowerCutError

    def _drop_unsynced(self, name: str, first: Any) -> None:
        """Lose what could not be synced, as Linux does: a second sync succeeds."""
        place = self._place(first)
        if name == "fsync" and place and place.is_file():
            place.write_bytes(self._synced.get(place, b""))

    def _note(self, name: str, place: Path, rest: tuple[Any, ...]) -> None:
        if name == "fsync" and place.is_dir():
            self._names[place] = {path.name for path in place.iterdir()}
            self._renamed = [x for x in self._renamed if x[0].parent != place]
        elif name == "fsync":
            self._synced[place] = place.read_bytes()
        elif name == "rename":
            new = Path(rest[0])
            self._renamed.append((place, new))
            _renamed(self._names, place, new)
            _renamed(self._synced, place, new)

    def _place(self, first: Any) -> Path | None:
        if isinstance(first, int):
            first = os.readlink(f"/proc/self/fd/{first}")
        path = Path(first)
        return path if self.root in (path, *path.parents) else None


def _renamed(known: dict[Path, Any], old: Path, new: Path) -> None:
    """Know under the new name, too, what is known under the old one."""
    for path in [path for path in known if old in (path, *path.parents)]:
        known[new / path.relative_to(old)] = known[path]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _torn(before: bytes, after: bytes, random: Random) -> bytes:
    """Return some of the bytes that were written since the last sync."""
    size = random.choice((len(before), len(after), random.randint(0, len(after))))
    size = max(size, min(len(before), len(after)))
    blocks = []
    for start in range(0, size, 512):
        old, new = before[start : start + 512], after[start : start + 512]
        blocks.append(random.choice((old, new)).ljust(512, b"\0"))
    return b"".join(blocks)[:size]
