"""A disk that forgets what was not synced, and that dies or fails at a chosen change.

`Disk.attach` wraps the functions of `os` in this process, which should be a child. All
calls go to the real file system below `root`; beside it is noted what a power cut
would leave: contents as they were at the last fsync of their file, names as they were
at the last fsync of their directory. A rename is one step; it counts when the
directory that it leads to was synced.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from sealift_installer import durable

SYNCS = ("fdatasync", "fsync")
GROWS = ("link", "mkdir", "open", "pwrite", "symlink", "write")
CHANGES = (
    *("chmod", "fchmod", "ftruncate", "rename", "replace", "rmdir", "unlink"),
    *GROWS,
    *SYNCS,
)
"""The functions of `os` by which the installer changes the host, but for EXCHANGE."""

EXCHANGE = "exchange"
"""The function of `durable` that lets two names change places, in one directory."""

DIED = 77
_REAL: dict[str, Callable[..., Any]] = {
    **{name: getattr(os, name) for name in CHANGES},
    EXCHANGE: durable.exchange,
}


class Fault(Enum):
    """What happens at a chosen change."""

    DIE = "the process is gone; of a write, half is done"
    FULL = "from then on the disk takes nothing more"
    FAIL_ONCE = "the device fails that one time, and what a sync was for is lost"


_STRUCK = {Fault.DIE: _REAL, Fault.FULL: GROWS, Fault.FAIL_ONCE: (*GROWS, *SYNCS)}
"""The changes that are counted, for each fault: those at which it can come."""


class Left(Enum):
    """What a crash leaves on the disk."""

    ALL = "everything: only the process was killed"
    SYNCED = "what was synced, and nothing else"
    NAMES = "all names, but zeros for the contents that were not synced"


@dataclass(eq=False)
class _Node:
    """A file, directory or link, and what is durable of it."""

    kind: int
    mode: int
    data: bytes = b""
    entries: dict[str, _Node] = field(default_factory=dict)
    is_lost: bool = False


class _Move(NamedTuple):
    """A rename to another directory that is not durable yet."""

    node: _Node
    source: _Node
    name: str
    target: _Node


class Disk:
    """Everything below `root` is durable at first; fails at change number `at`."""

    def __init__(self, root: Path, fault: Fault, at: int) -> None:
        self.changes = 0
        self._fault = fault
        self._at = at
        self._lock = threading.RLock()
        self._leaver = 0
        self._nodes: dict[int, _Node] = {}
        self._moves: list[_Move] = []
        self._root = root
        self._top = self._load(root)
        self._on_death: Callable[[], None] = lambda: None

    def attach(self, on_death: Callable[[], None]) -> None:
        """Stand between this process and `os` from now on."""
        self._on_death = on_death
        for name in _REAL:
            _put(name, self._wrapped(name))

    def leave(self, target: Path, left: Left) -> None:
        """Write what a power cut would leave to a new directory.

        Other threads change nothing meanwhile.
        """
        with self._lock:
            self._leaver = threading.get_ident()
            if left is Left.SYNCED:
                _write(self._top, target, {})
            elif left is Left.NAMES:
                self._write_names(self._root, target, {})
            for name, real in _REAL.items():
                _put(name, real)

    def _load(self, path: Path) -> _Node:
        status = path.lstat()
        node = _Node(stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode))
        self._nodes[status.st_ino] = node
        if stat.S_ISDIR(status.st_mode):
            node.entries = {
                child.name: self._nodes.get(child.lstat().st_ino) or self._load(child)
                for child in path.iterdir()
            }
        elif stat.S_ISLNK(status.st_mode):
            node.data = os.fsencode(path.readlink())
        else:
            node.data = path.read_bytes()
        return node

    def _wrapped(self, name: str) -> Callable[..., Any]:
        real = _REAL[name]

        def call(*args: Any, **options: Any) -> Any:
            is_reading = name == "open" and not args[1] & os.O_CREAT
            if is_reading or threading.get_ident() == self._leaver:
                return real(*args, **options)
            with self._lock:
                self._fail_if_due(name, args)
                moved = self._move(name, args)
                result = real(*args, **options)
                self._note(name, args, result)
                self._moves += moved
                return result

        return call

    def _fail_if_due(self, name: str, args: tuple[Any, ...]) -> None:
        if name not in _STRUCK[self._fault]:
            return
        number, self.changes = self.changes, self.changes + 1
        if self._fault is Fault.FULL and number >= self._at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if number != self._at:
            return
        if self._fault is Fault.DIE:
            if name in ("write", "pwrite"):
                _REAL[name](
                    args[0], memoryview(args[1])[: len(args[1]) // 2], *args[2:]
                )
            self._on_death()
            os._exit(DIED)
        if name in SYNCS:
            # The kernel drops what it could not write: a second sync says nothing.
            self._node(os.fstat(args[0])).is_lost = True
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _node(self, status: os.stat_result) -> _Node:
        """Return what is known of an inode, whose number is never used again."""
        kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
        return self._nodes.setdefault(status.st_ino, _Node(kind, mode))

    def _note(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        # What is held keeps its number, also when it has no name any more.
        if name == "open":
            self._hold(f"/proc/self/fd/{result}", 0)
        elif name == "mkdir":
            self._hold(args[0], 0)
        elif name == "symlink":
            self._hold(args[1], os.O_NOFOLLOW).data = os.fsencode(args[0])
        elif name in SYNCS:
            self._sync(args[0], with_mode=name == "fsync")

    def _hold(self, path: str, flags: int) -> _Node:
        # By its path alone: an open file would hold the locks on it as well.
        return self._node(os.fstat(_REAL["open"](path, os.O_PATH | flags)))

    def _sync(self, fd: int, *, with_mode: bool) -> None:
        status = os.fstat(fd)
        node = self._node(status)
        if stat.S_ISDIR(status.st_mode):
            self._sync_names(node, fd)
        elif not node.is_lost:
            node.data = Path(f"/proc/self/fd/{fd}").read_bytes()
        if with_mode:
            node.mode = stat.S_IMODE(status.st_mode)

    def _sync_names(self, folder: _Node, fd: int) -> None:
        names = {
            name: self._node(os.stat(name, dir_fd=fd, follow_symlinks=False))
            for name in os.listdir(fd)
        }
        for move in self._moves:
            if move.source is folder and move.target is not folder:
                if folder.entries.get(move.name) is move.node:
                    names.setdefault(move.name, move.node)
            elif move.target is folder and move.source.entries.get(move.name) is (
                move.node
            ):
                del move.source.entries[move.name]
        self._moves = [move for move in self._moves if move.target is not folder]
        folder.entries = names

    def _move(self, name: str, args: tuple[Any, ...]) -> list[_Move]:
        if name not in ("rename", "replace"):
            return []
        source, target = (os.path.split(path) for path in args)
        if source[0] == target[0]:
            return []
        node = self._node(os.lstat(args[0]))
        folders = [self._node(os.stat(folder)) for folder in (source[0], target[0])]
        return [_Move(node, folders[0], source[1], folders[1])]

    def _write_names(self, path: Path, target: Path, made: dict[_Node, Path]) -> None:
        status = path.lstat()
        node = self._node(status)
        if stat.S_ISDIR(status.st_mode):
            target.mkdir()
            for child in path.iterdir():
                self._write_names(child, target / child.name, made)
            target.chmod(stat.S_IMODE(status.st_mode))
            return
        known = node.data[: status.st_size]
        whole = known + bytes(status.st_size - len(known))
        _write_plain(node, target, whole, stat.S_IMODE(status.st_mode), made)


def _put(name: str, function: Callable[..., Any]) -> None:
    setattr(durable if name == EXCHANGE else os, name, function)


def _write(node: _Node, target: Path, made: dict[_Node, Path]) -> None:
    if node.kind == stat.S_IFDIR:
        target.mkdir()
        for name, child in node.entries.items():
            _write(child, target / name, made)
        target.chmod(node.mode)
    else:
        _write_plain(node, target, node.data, node.mode, made)


def _write_plain(
    node: _Node, target: Path, data: bytes, mode: int, made: dict[_Node, Path]
) -> None:
    """Write a link or a file; one that has several names is one file again."""
    if node.kind == stat.S_IFLNK:
        target.symlink_to(os.fsdecode(node.data))
    elif node in made:
        os.link(made[node], target)
    else:
        target.write_bytes(data)
        target.chmod(mode)
        made[node] = target
