"""Which processes of a host run, and since when. Reads /proc, runs nothing."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Optional, Tuple

from sealift_installer.probe.sources import Sources

_COMM = 15
"""The kernel cuts the names of processes to this many characters."""


def processes(sources: Sources, name: str) -> Tuple[str, ...]:
    """Return the process numbers of those of this name that can be seen."""
    return tuple(
        pid
        for pid in sources.names("/proc") or ()
        if pid.isdigit() and sources.line(f"/proc/{pid}/comm") == name[:_COMM]
    )


def is_running(sources: Sources, name: str) -> Optional[bool]:
    """Say whether a process of this name runs; None where others are hidden."""
    # With hidepid= only one's own are listed: even the first process is not.
    if not sources.exists("/proc/1"):
        return None
    return bool(processes(sources, name))


def started(sources: Sources, pid: str) -> Optional[float]:
    """Return when a process was started, in seconds since 1970, or None."""
    # The name in brackets may hold spaces and brackets itself.
    fields = (sources.read(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    boot = [
        line.split()[1]
        for line in (sources.read("/proc/stat") or "").splitlines()
        if line.startswith("btime ")
    ]
    if len(fields) < 20 or not fields[19].isdigit() or not boot:
        return None
    return int(boot[0]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def as_time(seconds: Optional[float]) -> Optional[str]:
    """Return a time of `started` as facts spell it."""
    if seconds is None:
        return None
    when = datetime.fromtimestamp(int(seconds), timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
