"""What goes wrong with the place that is written to, told with how much is missing."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sealift_manifests.errors import OutputError
from sealift_manifests.sizes import human

_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
)


@contextmanager
def output_faults(directory: Path, left: int = 0) -> Iterator[None]:
    """Turn errors of the system on writing below `directory` into OutputError.

    `left`: the bytes that are still to be written there, at most, if that is known.
    """
    try:
        yield
    except OSError as error:
        raise _told(error, directory, left) from error


def _told(error: OSError, directory: Path, left: int) -> OutputError:
    if error.errno in _FULL:
        return _full(directory, left)
    if error.errno == errno.EFBIG:
        return OutputError(
            f"a file in {directory} has become too large for its file system",
            hint="Choose another place with -o, or a smaller --part-size: on FAT32 "
            "4 GiB - 1 at most.",
        )
    if error.errno in _UNWRITABLE:
        return OutputError(
            f"{directory} cannot be written: {error.strerror}",
            hint="Choose another place with -o.",
        )
    return OutputError(
        f"{directory} fails: {error.strerror or error}",
        hint="The disk or its connection may be failing: look at `dmesg`. Choose "
        "another place with -o.",
    )


def _full(directory: Path, left: int) -> OutputError:
    free = shutil.disk_usage(directory).free
    message = f"the disk of {directory} is full: {human(free)} are free"
    hint = "Make room there and run the build again, or choose another place with -o."
    if left > free:
        message += (
            f", and up to {human(left)} are left to pack, so up to "
            f"{human(left - free)} are missing"
        )
    others = [f"{path} ({human(size)})" for path, size in unfinished(directory) if size]
    if others:
        hint += (
            f" Unfinished bundles lie there: {', '.join(others)}; remove those that "
            "nobody will continue."
        )
    return OutputError(message, hint=hint)


def unfinished(directory: Path) -> Iterator[tuple[Path, int]]:
    """Yield the unfinished bundles in a directory and their sizes in bytes."""
    for path in sorted(directory.glob(".*.partial")):
        files = path.iterdir() if path.is_dir() else (path,)
        yield path, sum(file.lstat().st_size for file in files)
