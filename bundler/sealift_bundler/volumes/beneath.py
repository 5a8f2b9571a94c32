"""Opens what lies below a directory that somebody may be changing: never by a link."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL))


def open_beneath(root: Path, path: str, flags: int = 0) -> int:
    """Return a descriptor, for reading, of `path` below `root`.

    Raises OSError where one of its parts is a link, also one that has just become so.
    """
    *folders, last = path.split("/")
    here = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        return open_in(here, last, flags)
    finally:
        os.close(here)


def open_in(folder: int, name: str, flags: int = 0) -> int:
    """Return a descriptor, for reading, of a name in an open directory."""
    # A pipe that has come in place of a file must not be waited for.
    flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=folder)


def is_gone(error: OSError) -> bool:
    """Whether the name has gone, or is of another kind than it was a moment ago."""
    return error.errno in _GONE
