"""The host's log: one JSON line for each thing done, each bound to the one before.

`previous` is the SHA-256 of the line before it, so a line that was changed or
taken out later shows.
"""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from typing import Any, Dict, Tuple

from sealift_manifests import strictjson
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import ManifestError

from sealift_installer import durable
from sealift_installer.layout import Layout

_START = "sha256:" + 64 * "0"


def append(layout: Layout, event: str, now: datetime, **facts: Any) -> None:
    """Add a line to the ledger and sync it.

    A last line without its end is one that was cut off while it was written, so
    nobody was told that it is there: it makes room.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(layout.ledger, flags, 0o644)
    try:
        # An audit holds no other lock: two at a time would follow the same line.
        fcntl.flock(fd, fcntl.LOCK_EX)
        whole = _whole_lines(durable.read_file(layout.ledger) or b"")
        entry: Dict[str, Any] = {
            "event": event,
            "previous": _last_digest(whole),
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **facts,
        }
        os.ftruncate(fd, len(whole))
        durable.write_all(fd, strictjson.dump_line(entry))
        os.fsync(fd)
        if not whole:
            durable.sync_directory(os.path.dirname(layout.ledger))
    finally:
        os.close(fd)


def first_broken_line(data: bytes) -> int:
    """Return the number (from 1) of the first line that is not bound, or 0."""
    previous = _START
    whole = _whole_lines(data)
    for number, line in enumerate(whole.splitlines(keepends=True), start=1):
        try:
            entry = strictjson.load(line, f"ledger line {number}")
        except ManifestError:
            return number
        if not isinstance(entry, dict) or entry.get("previous") != previous:
            return number
        previous = digest_of(line)
    return 0


def last_entry(layout: Layout, bundle: str, events: Tuple[str, ...]) -> Dict[str, Any]:
    """Return the last readable line about a bundle with one of these events, or {}."""
    data = _whole_lines(durable.read_file(layout.ledger) or b"")
    for line in reversed(data.splitlines()):
        try:
            entry = strictjson.load(line, layout.ledger)
        except ManifestError:
            continue  # `first_broken_line` tells of it.
        found = entry if isinstance(entry, dict) else {}
        if found.get("bundle") == bundle and found.get("event") in events:
            return found
    return {}


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _last_digest(data: bytes) -> str:
    lines = data.splitlines(keepends=True)
    return digest_of(lines[-1]) if lines else _START
