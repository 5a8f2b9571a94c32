"""Hold a medium to a speed: the kernel delays what one group of processes reads.

Uses the block layer's throttle, by cgroup v1 or v2, on the disk that has the files. It
holds whatever reads, whether `cp` or ours, and says so where it cannot be had.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/blkio")
_V2 = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


class NoThrottleError(Exception):
    """Reads cannot be held to a speed here; the message says why."""


@dataclass(frozen=True)
class Throttle:
    """A group of processes whose reads from a disk are held to a speed."""

    group: Path
    about: str

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command made to run in the group."""
        enter = 'echo $$ >"$1" && shift && exec "$@"'
        return ["sh", "-c", enter, "sh", str(self.group / "cgroup.procs"), *command]


@contextmanager
def held_to(speed: int, folder: Path) -> Iterator[Throttle]:
    """Give a throttle of `speed` bytes per second on the disk that `folder` is on."""
    disk = _disk_of(folder)
    parent, name, line = _knob(disk, speed)
    group = parent / f"sealift-bench-{os.getpid()}"
    try:
        group.mkdir()
        (group / name).write_text(line)
    except OSError as error:
        _leave(group)
        raise NoThrottleError(f"{group / name}: {error.strerror}") from error
    try:
        yield Throttle(group, f"{name} of the kernel, on disk {disk}")
    finally:
        _leave(group)


def _leave(group: Path) -> None:
    if group.is_dir():
        group.rmdir()


def _disk_of(folder: Path) -> str:
    device = os.stat(folder).st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not place.exists():
        raise NoThrottleError(f"{folder} is not on a disk of its own")
    # Only whole disks are throttled.
    whole = place.resolve()
    if (whole / "partition").exists():
        whole = whole.parent
    return (whole / "dev").read_text().strip()


def _knob(disk: str, speed: int) -> tuple[Path, str, str]:
    """Return where groups are made, the file that holds them, and what goes there."""
    if (_V1 / "blkio.throttle.read_bps_device").exists():
        return _V1, "blkio.throttle.read_bps_device", f"{disk} {speed}"
    for root in _V2:
        control = root / "cgroup.subtree_control"
        if control.exists() and "io" in control.read_text().split():
            return root, "io.max", f"{disk} rbps={speed}"
    raise NoThrottleError("the kernel offers no throttle (cgroup blkio or io)")
