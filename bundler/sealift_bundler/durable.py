"""What makes files on the connected side survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path

from sealift_manifests.digests import Buffer


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: Buffer, offset: int) -> None:
    """Write all of `data` at an offset of an open file; the kernel may take it in
    several bites."""
    view = memoryview(data).cast("B")
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done
