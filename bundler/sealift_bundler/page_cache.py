"""Whether what is read comes from the medium or from memory. Linux only.

A file that was just written is still in memory: to read it back there would prove
nothing about the medium. The kernel is asked to forget it, and whether it did.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass

_WINDOW = 1 << 30
_LOWEST_BIT = bytes(value & 1 for value in range(256))
_FEW = 0.01
"""The share of a file that may stay: pages that someone else is using right now."""


@dataclass(frozen=True)
class Mount:
    """The file system that a file lies on: its type, and its device or other source."""

    kind: str
    source: str


def forget(fd: int) -> str:
    """Sync a file and make the kernel forget it; return why that failed, or nothing."""
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    mount = mount_of(os.fstat(fd).st_dev)
    if cached_share(fd) > _FEW:
        return f"{mount.kind or 'its file system'} keeps it in memory"
    if mount.kind == "fuseblk":
        return _forget_device(mount.source)
    if mount.kind.startswith("fuse"):
        return f"what {mount.kind} keeps in memory cannot be told"
    return ""


def mount_of(device: int) -> Mount:
    """Return what is mounted as this device (`st_dev`), as far as it is told."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            if before.split()[2:3] == [number]:
                kind, source = after.split()[:2]
                return Mount(kind, source)
    return Mount("", "")


def _forget_device(path: str) -> str:
    """Forget a block device, which the program behind a file system reads through."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return f"{path} is read through a cache: {error.strerror}"
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
    return ""


def cached_share(fd: int) -> float:
    """Return which part of a file is in memory, from 0 to 1; 1 where it is not told."""
    size = os.fstat(fd).st_size
    cached = sum(
        _cached_pages(fd, start, min(_WINDOW, size - start))
        for start in range(0, size, _WINDOW)
    )
    return cached / -(-size // mmap.PAGESIZE) if size else 0.0


def _cached_pages(fd: int, start: int, length: int) -> int:
    pages = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
    writable = mmap.PROT_READ | mmap.PROT_WRITE  # ctypes takes an address of no other
    try:
        area = mmap.mmap(fd, length, mmap.MAP_PRIVATE, writable, offset=start)
    except OSError:  # Some file systems lay no file into memory.
        return len(pages)
    first = ctypes.c_char.from_buffer(area)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        place = ctypes.c_void_p(ctypes.addressof(first))
        if libc.mincore(place, ctypes.c_size_t(length), pages):
            return len(pages)
    finally:
        del first
        area.close()
    return bytes(pages).translate(_LOWEST_BIT).count(1)
