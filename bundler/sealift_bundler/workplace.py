"""What a build works with beside its spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sealift_bundler.lock import Lock
from sealift_bundler.report import Report


@dataclass(frozen=True)
class Workplace:
    """What a build works with beside its spec: places, the lock, whom it tells.

    `epoch` is the time, in seconds since 1970, that image builds may see.
    """

    directory: Path
    cache: Path
    lock: Lock
    update: bool
    insecure: frozenset[str]
    epoch: int
    report: Report
