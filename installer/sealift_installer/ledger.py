"""The host's log: one JSON line for each thing done, each bound to the one before.

`previous` is the SHA-256 of the line before it, so a line that was changed or
taken out later shows.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any, Dict

from sealift_manifests import strictjson
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import ManifestError

from sealift_installer import durable
from sealift_installer.layout import Layout

_START = "sha256:" + 64 * "0"


def append(layout: Layout, event: str, now: datetime, **facts: Any) -> None:
    """Add a line to the ledger and sync it."""
    entry: Dict[str, Any] = {
        "event": event,
        "previous": _last_digest(layout.ledger),
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **facts,
    }
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(layout.ledger, flags, 0o644)
    try:
        durable.write_all(fd, strictjson.dump_line(entry))
        os.fsync(fd)
    finally:
        os.close(fd)


def first_broken_line(data: bytes) -> int:
    """Return the number (from 1) of the first line that is not bound, or 0."""
    previous = _START
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            entry = strictjson.load(line, f"ledger line {number}")
        except ManifestError:
            return number
        if not isinstance(entry, dict) or entry.get("previous") != previous:
            return number
        previous = digest_of(line)
    return 0


def _last_digest(path: str) -> str:
    data = durable.read_file(path)
    if not data:
        return _START
    return digest_of(data.splitlines(keepends=True)[-1])
