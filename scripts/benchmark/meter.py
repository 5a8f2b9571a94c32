"""Run a command and measure it: time, memory, bytes read and written, disk space.

Memory is the proportional set size of the whole process tree and disk space what
lies below one directory; both are sampled. Bytes are the kernel's counts.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .values import Run

_PERIOD = 0.05
_LOOKING = 0.1
"""The part of its time that may go into looking at the disk."""


class CommandError(Exception):
    """A measured command did not end well."""


def measure(command: Sequence[str], watched: Path) -> Run:
    """Run a command to its end; raise CommandError when its exit code is not 0."""
    with tempfile.TemporaryFile("w+") as output:
        before, io = _cpu(), _io()
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(watched)},
            start_new_session=True,
        )
        sampler = _Sampler(process.pid, watched)
        try:
            code = process.wait()
            wall = time.monotonic() - start
        except BaseException:
            # It has a session of its own, which Ctrl-C does not reach.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            sampler.stop()
        after = _io()
        output.seek(0)
        said = output.read()
    if code:
        raise CommandError(f"{' '.join(command)} ended with {code}:\n{said}")
    return Run(
        wall=wall,
        cpu=_cpu() - before,
        memory=sampler.memory,
        read=after["rchar"] - io["rchar"],
        written=after["wchar"] - io["wchar"],
        from_disk=after["read_bytes"] - io["read_bytes"],
        most_disk=sampler.disk,
        disk=disk_usage(watched),
    )


def disk_usage(folder: Path) -> int:
    """Return the bytes that the files below a directory occupy; links count once."""
    total, seen = 0, set()
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except FileNotFoundError:
                continue
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total


def drop_cache(folder: Path) -> None:
    """Make the kernel forget the files below a directory, whoever read them."""
    for place, _, names in os.walk(folder):
        for name in names:
            fd = os.open(os.path.join(place, name), os.O_RDONLY)
            try:
                os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)


class _Sampler:
    """Looks at a session of processes and a directory until it is told to stop."""

    def __init__(self, session: int, watched: Path) -> None:
        self.memory = self.disk = 0
        self._session = session
        self._watched = watched
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        look_again = 0.0
        while not self._stopped.wait(_PERIOD):
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
            mine = [pid for pid in pids if self._is_mine(pid)]
            self.memory = max(self.memory, sum(map(_memory, mine)))
            begun = time.monotonic()
            if begun >= look_again:
                self.disk = max(self.disk, disk_usage(self._watched))
                # Thousands of files take their time, which is taken from the command.
                now = time.monotonic()
                look_again = now + (now - begun) / _LOOKING

    def _is_mine(self, pid: int) -> bool:
        try:
            return os.getsid(pid) == self._session
        except ProcessLookupError:
            return False


def _memory(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    sizes = [line.split()[1] for line in text.splitlines() if line.startswith("Pss:")]
    return int(sizes[0]) << 10 if sizes else 0


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _io() -> dict[str, int]:
    """Return the counts of this process; those of ended children are in them."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}
