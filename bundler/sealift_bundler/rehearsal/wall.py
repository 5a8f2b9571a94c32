"""Let nothing out of the networks that appear from now on, and look who tries.

Docker's own chain for rules of the user decides on forwarded packets; containers of a
bridge reach each other and the host without it. For root, on Linux.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from sealift_manifests.errors import BusyError, UsageError

from .packets import Attempt, read_frame

_LOCK = Path("/run/sealift-rehearsal.lock")
_CHAIN = "DOCKER-USER"
_COMMENT = "sealift-rehearsal"
_BRIDGES = "br-+"
_ALL_PROTOCOLS = 3
_OUTGOING = 4
_FRAME = 2048
_POLL = 0.2


@dataclass
class Watch:
    """The attempts so far: when each was first made (seconds since 1970), how often."""

    first: dict[Attempt, float] = field(default_factory=dict)
    count: dict[Attempt, int] = field(default_factory=dict)

    def note(self, attempt: Attempt) -> None:
        """Count an attempt."""
        self.first.setdefault(attempt, time.time())
        self.count[attempt] = self.count.get(attempt, 0) + 1


@contextmanager
def walled_in() -> Iterator[Watch]:
    """Close the way out of new bridges, until the block ends; give what is seen.

    Raises BusyError while somebody else does so.
    """
    watch, ended = Watch(), Event()
    try:
        sniffer = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)
        )
    except PermissionError as error:
        raise UsageError(
            "only root can close the way out of networks and look on",
            hint="Run `sealift rehearse` as root.",
        ) from error
    with sniffer, _only_one():
        sniffer.settimeout(_POLL)
        old = bridges()
        looking = Thread(target=_look, args=(sniffer, old, watch, ended))
        _open_ways()
        try:
            _close_ways(old)
            looking.start()
            yield watch
        finally:
            ended.set()
            _open_ways()
            if looking.is_alive():
                looking.join()


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold the lock of this machine: who builds a wall takes down those before it."""
    # For root alone: a lock that others can open, they can hold.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(_LOCK, flags, 0o600)
    except OSError as error:
        raise UsageError(
            f"the lock of rehearsals cannot be opened: {_LOCK}: {error.strerror}",
            hint="Look at what lies there, and remove it if no rehearsal runs.",
        ) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                "another rehearsal runs on this machine",
                hint="Only one can close the way out at a time. Run this again when "
                f"it is done (`fuser {_LOCK}` says which process it is).",
            ) from error
        yield
    finally:
        os.close(fd)


def bridges() -> frozenset[str]:
    """Return the names of the bridges that engines have made for networks."""
    names = (path.name for path in Path("/sys/class/net").iterdir())
    return frozenset(name for name in names if name.startswith("br-"))


def _look(
    sniffer: socket.socket, old: frozenset[str], watch: Watch, ended: Event
) -> None:
    while not ended.is_set():
        try:
            frame, address = sniffer.recvfrom(_FRAME)
        except TimeoutError:
            continue
        interface, kind = address[0], address[2]
        if kind == _OUTGOING or interface in old or not interface.startswith("br-"):
            continue
        attempt = read_frame(frame)
        if attempt:
            watch.note(attempt)


def _close_ways(old: frozenset[str]) -> None:
    # Each is put first, so they stand in the other order.
    _rule("-I", "-i", _BRIDGES, "!", "-o", _BRIDGES, "-j", "DROP")
    for bridge in sorted(old):
        _rule("-I", "-i", bridge, "-j", "RETURN")


def _rule(what: str, *rule: str) -> None:
    comment = ["-m", "comment", "--comment", _COMMENT]
    _iptables(what, _CHAIN, *rule[:-2], *comment, *rule[-2:])


def _open_ways() -> None:
    """Remove our rules, those of a rehearsal that was killed too."""
    for line in _iptables("-S", _CHAIN).splitlines():
        if _COMMENT in line and line.startswith("-A "):
            _iptables("-D", *(word.strip('"') for word in line.split()[1:]))


def _iptables(*words: str) -> str:
    command = ["iptables", "--wait", "10", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise _no_chain(error.strerror or str(error)) from error
    if done.returncode:
        raise _no_chain(done.stderr.strip())
    return done.stdout


def _no_chain(why: str) -> UsageError:
    return UsageError(
        f"the way out of networks cannot be closed: iptables: {why}",
        hint=f"Rehearse as root where Docker runs with iptables (chain {_CHAIN}).",
    )
