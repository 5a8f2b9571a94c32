"""Small honest volumes of data: a directory with all that one may hold."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from making import noise, write_files

THEN = 1_000_000_000
"""The time (seconds since 1970) that everything in a made volume has."""

BIG = noise("a volume's largest file", 9 << 20)
"""More than a chunk."""


def a_volume(root: Path, *, owned: bool = True) -> Path:
    """Write a volume: owners, modes, both kinds of links, empty things; return it."""
    write_files(
        root,
        {
            "raft/log": b"entries " * 100,
            "collections/docs/segment": BIG,
            "collections/docs/empty": b"",
            "readme": b"data\n",
        },
    )
    (root / "snapshots").mkdir()
    (root / "collections/docs/again").hardlink_to(root / "readme")
    (root / "latest").symlink_to("collections/docs")
    (root / "outside").symlink_to("/etc/hostname")
    if owned:
        os.chown(root, 1000, 2000)
        os.chown(root / "raft/log", 4_000_000, 70_000)
        os.chown(root / "latest", 1000, 1000, follow_symlinks=False)
    (root / "raft/log").chmod(0o640)
    (root / "readme").chmod(0o4750)
    (root / "snapshots").chmod(0o1777)
    root.chmod(0o2770)
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, (THEN, THEN), follow_symlinks=False)
    os.utime(root, (THEN, THEN))
    return root


def described(root: Path) -> dict[str, Any]:
    """Return all that counts of a volume: by path, what it is and which file."""
    firsts: dict[int, str] = {}
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        status, name = path.lstat(), str(path.relative_to(root))
        what: list[Any] = [status.st_uid, status.st_gid]
        if stat.S_ISLNK(status.st_mode):
            what.append(os.readlink(path))
        else:
            what += [stat.filemode(status.st_mode), int(status.st_mtime)]
        if stat.S_ISREG(status.st_mode):
            what += [path.read_bytes(), firsts.setdefault(status.st_ino, name)]
        found[name] = what
    return found
