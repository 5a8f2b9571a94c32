"""Files on their way into the store, and which of their bytes are safe already.

`journal/<hex>` is the unfinished file. Beside it `<hex>.ranges` lists the ranges of
its plain bytes that were verified and synced before they were listed, one a line:
START END, in bytes. The list is replaced as a whole, so it is never torn. It says
nothing of chunks: another bundle may cut the same file in other places. Who goes on
from here measures each chunk again; a list that lies costs time, nothing else.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Iterable, Optional

from sealift_manifests.digests import Digest
from sealift_manifests.index import Content

from sealift_installer import durable
from sealift_installer.layout import Layout
from sealift_installer.ranges import Ranges, merged

_LINE = re.compile(rb"(0|[1-9][0-9]{0,17}) ([1-9][0-9]{0,17})\n")
_OPEN_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_BLOCK = 512
"""The unit of st_blocks, on every file system."""


def unfinished(layout: Layout, digest: Digest) -> str:
    """Return the place of a file that is not whole yet."""
    return os.path.join(layout.journal, digest.hex)


def record(layout: Layout, digest: Digest) -> str:
    """Return the place of the list of its bytes that are safe."""
    return f"{unfinished(layout, digest)}.ranges"


def had(layout: Layout, content: Content) -> Ranges:
    """Return the ranges of plain bytes of a file that are verified and synced.

    None if the list does not fit the file, or either is not what we left there.
    """
    status = _regular(unfinished(layout, content.digest))
    listed = _regular(record(layout, content.digest))
    if status is None or listed is None:
        return ()
    ranges = _parsed(durable.read_file(record(layout, content.digest)) or b"")
    if status.st_size > content.size or (ranges and ranges[-1][1] > status.st_size):
        return ()
    return ranges


def open_unfinished(layout: Layout, content: Content, kept: Ranges) -> int:
    """Open the unfinished file; with nothing to keep, an empty new one."""
    path = unfinished(layout, content.digest)
    if not kept:
        durable.remove_any(record(layout, content.digest))
        durable.remove_any(path)
        return os.open(path, _OPEN_FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    if stat.S_IMODE(os.lstat(path).st_mode) != 0o600:
        os.chmod(path, 0o600)  # It was finished, but for its name.
    fd = os.open(path, _OPEN_FLAGS)
    # What is kept is read again before it is used: from the disk, not from memory.
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return fd


def write_record(layout: Layout, content: Content, ranges: Ranges) -> None:
    """List the bytes that are safe: they must have been synced."""
    text = b"".join(b"%d %d\n" % pair for pair in ranges)
    durable.replace_file(record(layout, content.digest), text, 0o600)


def sweep(layout: Layout, wanted: Iterable[Digest]) -> None:
    """Remove everything from the journal that does not belong to a wanted file."""
    if not os.path.isdir(layout.journal):
        return
    places = {place(layout, one) for one in wanted for place in (unfinished, record)}
    for name in os.listdir(layout.journal):
        path = os.path.join(layout.journal, name)
        if path not in places:
            durable.remove_any(path)


def allocated(layout: Layout) -> int:
    """Return the bytes of disk that the journal holds.

    All of them are there to be used: unwanted files go before others are written.
    """
    if not os.path.isdir(layout.journal):
        return 0
    with os.scandir(layout.journal) as entries:
        plain = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
    found = [entry.stat(follow_symlinks=False).st_blocks for entry in plain]
    return sum(found) * _BLOCK


def _regular(path: str) -> Optional[os.stat_result]:
    """Return the status of a file that has this name and no other."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    alone = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    return status if alone else None


def _parsed(text: bytes) -> Ranges:
    found = [(int(start), int(end)) for start, end in _LINE.findall(text)]
    ranges = tuple(found)
    if b"".join(b"%d %d\n" % pair for pair in ranges) != text:
        return ()
    return ranges if merged(ranges) == ranges else ()
