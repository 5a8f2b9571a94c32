"""Files and directories that survive a power cut once these functions return."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from contextlib import contextmanager
from typing import Iterator, Optional

from sealift_manifests.errors import StagingError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

FULL = (errno.ENOSPC, errno.EDQUOT)
"""The errors of a file system that takes no more."""


@contextmanager
def failures_told(place: str) -> Iterator[None]:
    """Turn what the disk refuses meanwhile into a StagingError; `place` is on it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StagingError(
                f"the file system of {place} became full",
                hint="Make room there and run the same command again: what is verified "
                "is kept.",
            ) from error
        raise StagingError(
            f"{place} could not be written: {error}",
            hint="Check the file system (`dmesg`) and its permissions, then run the "
            "same command again: what is verified is kept.",
        ) from error


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directories(path: str) -> None:
    """Create a directory and what is missing above it, each 0755 and synced."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        os.mkdir(each)
        os.chmod(each, 0o755)
        sync_directory(os.path.dirname(each))


def write_new_file(path: str, data: bytes, mode: int) -> None:
    """Create a file that does not exist yet, and sync it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, 0o600)
    try:
        write_all(fd, data)
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: str, data: bytes, mode: int) -> None:
    """Give `path` new contents in one step: the old or the new, never between."""
    beside = f"{path}.new"
    remove_file(beside)
    write_new_file(beside, data, mode)
    os.replace(beside, path)
    sync_directory(os.path.dirname(path))


def replace_link(path: str, target: str) -> None:
    """Make `path` a symbolic link to `target` in one step."""
    beside = f"{path}.new"
    remove_file(beside)
    os.symlink(target, beside)
    os.replace(beside, path)
    sync_directory(os.path.dirname(path))


def write_all_at(fd: int, data: memoryview, offset: int) -> None:
    """Write all bytes of a buffer to an open file, from `offset`."""
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written


def write_all(fd: int, data: object) -> None:
    """Write all bytes of a buffer to an open file."""
    view = memoryview(data)  # type: ignore[arg-type]
    while view:
        view = view[os.write(fd, view) :]


def replace_directory(path: str, unfinished: str) -> None:
    """Give a finished directory its name; one that stood there is removed.

    The two change places in one step. Where the kernel or the file system cannot
    do that, the name is missing between two renames, but never half-filled.
    """
    parent, name = os.path.split(path)
    aside = os.path.join(parent, f".{name}.old")
    remove_tree(aside)
    if os.path.isdir(path) and exchange(unfinished, path):
        sync_directory(parent)
        remove_tree(unfinished)
        return
    if os.path.isdir(path):
        os.rename(path, aside)
    os.rename(unfinished, path)
    sync_directory(parent)
    remove_tree(aside)


def exchange(one: str, other: str) -> bool:
    """Let two names change places in one step; say whether that could be done.

    Linux has it since 3.15 and glibc since 2.28; NFS, for one, does not.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    failed = renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE)
    return not failed


def remove_file(path: str) -> None:
    """Remove a file or link if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_any(path: str) -> None:
    """Remove whatever has this name, if anything has."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        remove_file(path)


def remove_tree(path: str) -> None:
    """Remove a directory and all in it, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)


def discard_directory(path: str) -> None:
    """Remove a directory that must never be seen in part: its name goes first."""
    parent, name = os.path.split(path)
    aside = os.path.join(parent, f".{name}.gone")
    remove_tree(aside)
    if os.path.isdir(path):
        os.rename(path, aside)
        sync_directory(parent)
        remove_tree(aside)


def remove_empty_parents(path: str, stop: str) -> None:
    """Remove directories that became empty, from `path` up to below `stop`."""
    while path.startswith(stop + os.sep):
        try:
            os.rmdir(path)
        except OSError:
            return
        path = os.path.dirname(path)


def read_file(path: str) -> Optional[bytes]:
    """Return a small file's bytes, or None when there is no such file.

    Raises StagingError for what cannot be read, and for what is no file: a FIFO
    would never end, and is not the same as nothing.
    """
    try:
        # O_NONBLOCK: or else the opening of a FIFO hangs already.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StagingError(
            f"{path} cannot be read: {error.strerror}",
            hint="Run this as root. If it is damaged, install the bundle again with "
            "--repair.",
        ) from error
