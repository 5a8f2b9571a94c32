"""Which TCP ports of a host something listens on, and what. Reads /proc only."""

from __future__ import annotations

import os
import socket
import struct
from typing import Dict, Iterator, Optional, Set, Tuple

from sealift_manifests.preflight.facts import ListeningPort

from sealift_installer.probe.sources import Sources

_TABLES = (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6))
_LISTEN = "0A"


def listening(sources: Sources) -> Optional[Tuple[ListeningPort, ...]]:
    """Return the ports; None where the kernel's tables cannot be read.

    The owner is the name of a process; only root sees those of others.
    """
    texts = [(sources.read(path), family) for path, family in _TABLES]
    if all(text is None for text, _ in texts):
        return None
    rows = {row for text, family in texts for row in _rows(text or "", family)}
    owners = _owners(sources, {inode for _, _, inode in rows})
    return tuple(
        ListeningPort(port, address=address, owner=owners.get(inode))
        for address, port, inode in sorted(rows, key=lambda row: (row[1], row[0]))
    )


def _rows(text: str, family: int) -> Iterator[Tuple[str, int, str]]:
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            address, _, port = fields[1].rpartition(":")
            yield _address(address, family), int(port, 16), fields[9]


def _address(text: str, family: int) -> str:
    # The kernel prints each word of the address as a number of its own byte order.
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))


def _owners(sources: Sources, inodes: Set[str]) -> Dict[str, str]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: Dict[str, str] = {}
    for pid in sources.names("/proc") or ():
        if not pid.isdigit() or len(found) == len(inodes):
            continue
        folder = f"/proc/{pid}/fd"
        for fd in sources.names(folder) or ():
            inode = wanted.get(sources.link(os.path.join(folder, fd)) or "")
            if inode and inode not in found:
                name = sources.line(f"/proc/{pid}/comm")
                if name:
                    found[inode] = name
    return found
