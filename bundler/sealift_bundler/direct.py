"""Read files straight from the disk, past what the kernel keeps of them in memory.

To fill that memory and copy out of it costs a processor as much as to digest the bytes,
and they are read once. And what comes from memory proves nothing about a disk. Linux
only.
"""

from __future__ import annotations

import errno
import os

from sealift_bundler.buffers import Buffers

_BLOCK = 4096
"""Reads begin and end at multiples of this, which suits the disks there are."""


class DirectFile:
    """An open file that is read straight from its disk.

    With `usual`, and where its file system does not let that be, it is read as usual:
    `is_direct` says which. For several threads. Close it; `fd` stays open.
    """

    def __init__(self, fd: int, *, usual: bool = False) -> None:
        self._fd = fd
        self._direct = -1 if usual else _reopened(fd)
        self.is_direct = self._direct >= 0

    def read(self, buffers: Buffers, offset: int, size: int) -> memoryview:
        """Return `size` bytes, at most those of a chunk, in memory from `buffers`.

        Raises EOFError when the file is shorter than that.
        """
        skew = offset % _BLOCK
        view = buffers.take(size, skew)
        try:
            if not (self.is_direct and self._read_direct(view, offset, skew)):
                # Asks for all of it at once: the kernel alone reads ahead much less.
                os.posix_fadvise(self._fd, offset, size, os.POSIX_FADV_WILLNEED)
                _fill(self._fd, view, offset, size)
        except BaseException:
            buffers.give_back(view)
            raise
        return view

    def close(self) -> None:
        """Close what was opened here."""
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1

    def _read_direct(self, view: memoryview, offset: int, skew: int) -> bool:
        """Read whole blocks around what is wanted; say whether the disk took that."""
        least = skew + view.nbytes
        blocks = memoryview(view.obj)[: -(-least // _BLOCK) * _BLOCK]
        try:
            _fill(self._direct, blocks, offset - skew, least)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self.is_direct = False
        return self.is_direct


def _reopened(fd: int) -> int:
    """Open the same file for reads past the kernel's memory; -1 if that cannot be."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return -1


def _fill(fd: int, target: memoryview, offset: int, least: int) -> None:
    """Read into `target` until the first `least` bytes are there."""
    done = 0
    while done < least:
        got = os.preadv(fd, [target[done:]], offset + done)
        if not got:
            raise EOFError(offset + done)
        done += got
