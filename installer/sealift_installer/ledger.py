"""The host's log: one JSON line for each thing done, each bound to the one before.

`previous` is the SHA-256 of the line before it, so a line that was changed or
taken out later shows.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, Iterator, Tuple

from sealift_manifests import strictjson
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import ManifestError
from sealift_manifests.model import Manifest

from sealift_installer import durable
from sealift_installer.layout import Layout

SWEEP = "sweep"
"""All that cut-off runs left was removed: no install is unfinished then."""

TIDY = "tidy"
"""As much was removed as leaves unfinished installs what they go on from."""

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


def last_entry(
    layout: Layout, bundle: str, events: Tuple[str, ...], **facts: Any
) -> Dict[str, Any]:
    """Return the last readable line about a bundle with one of these events, or {}.

    Only lines that have all of these facts count.
    """
    last: Dict[str, Any] = {}
    for entry in _entries(layout):
        known = all(entry.get(name) == value for name, value in facts.items())
        if known and entry.get("bundle") == bundle and entry.get("event") in events:
            last = entry
    return last


def last_of_release(layout: Layout, manifest: Manifest, *events: str) -> Dict[str, Any]:
    """Return the last line with one of these events about this very release, or {}.

    What is said of the release before it says nothing about this one.
    """
    same = {"version": manifest.version, "serial": manifest.serial}
    return last_entry(layout, manifest.name, events, **same)


@dataclass(frozen=True)
class Begun:
    """An install that was begun and not finished: its bundle, and when it began."""

    bundle: str
    version: str
    time: str

    def __str__(self) -> str:
        """Return it in one line, for people."""
        return f"{self.bundle} {self.version}, begun {self.time}"


def unfinished_installs(layout: Layout) -> Tuple[Begun, ...]:
    """Return the installs that were begun, and neither finished nor cleared away."""
    begun: Dict[Tuple[str, str], Begun] = {}
    for entry in _entries(layout):
        bundle, root = str(entry.get("bundle")), str(entry.get("root"))
        if entry.get("event") == "install-begun":
            version, time = str(entry.get("version")), str(entry.get("time"))
            begun[bundle, root] = Begun(bundle, version, time)
        elif entry.get("event") == "install":
            begun.pop((bundle, root), None)
        elif entry.get("event") == "uninstall":
            begun = {key: one for key, one in begun.items() if key[0] != bundle}
        elif entry.get("event") == SWEEP:
            begun = {}
    return tuple(begun.values())


def _entries(layout: Layout) -> Iterator[Dict[str, Any]]:
    """Yield the readable lines; `first_broken_line` tells of others."""
    data = _whole_lines(durable.read_file(layout.ledger) or b"")
    for line in data.splitlines():
        try:
            entry = strictjson.load(line, layout.ledger)
        except ManifestError:
            continue
        if isinstance(entry, dict):
            yield entry


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _last_digest(data: bytes) -> str:
    lines = data.splitlines(keepends=True)
    return digest_of(lines[-1]) if lines else _START
