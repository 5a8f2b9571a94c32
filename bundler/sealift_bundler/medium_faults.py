"""What the system says of a medium, as errors with a remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sealift_manifests.errors import OutputError
from sealift_manifests.sizes import human

AGAIN = "run the same command again: what is copied and good is kept"


@contextmanager
def medium_faults(place: Path, what: str) -> Iterator[None]:
    """Turn what the system says of a medium into an OutputError with a remedy."""
    try:
        yield
    except OSError as error:
        message, hint = _told(place, what, error)
        raise OutputError(message, hint=hint) from error


def _told(place: Path, what: str, error: OSError) -> tuple[str, str]:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{place} is full: no room for {what}, {human(_free(place))} are free",
            f"Make room there, or give another medium, and {AGAIN}.",
        )
    if error.errno == errno.EFBIG:
        return (
            f"{place} takes no file as long as {what}",
            "FAT32 takes files of at most 4 GiB - 1. Format the medium as exFAT or "
            "ext4, or build with --part-size 4GiB-1 or less.",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"{place} cannot be written: {error.strerror}",
            "Look for its write-protect switch, mount it for writing, or run as a user "
            "who may write there.",
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return (
            f"{place} is not there: {error.strerror}",
            "Name the folder that the medium is mounted at.",
        )
    return (
        f"{place}: {what} could not be written or read: {error.strerror}",
        f"The medium may be failing or was pulled out. Put it back, or take another, "
        f"and {AGAIN}.",
    )


def _free(place: Path) -> int:
    try:
        free = os.statvfs(place)
    except OSError:
        return 0
    return free.f_bavail * free.f_frsize


def require_kind(path: Path, is_kind: Callable[[Path], bool]) -> None:
    """Raise OutputError unless what has this name is of the kind that belongs there."""
    if not is_kind(path):
        raise OutputError(
            f"{path} is in the way: it is a link, or no file or folder as it should be",
            hint="Move it away, or name another medium.",
        )
