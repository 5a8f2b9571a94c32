"""Where facts about a host are read from: its files, its programs, its NVML.

Everything the probe learns comes through here, so that a recorded host can be put
in the place of the real one. What cannot be read is None.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional, Tuple

NVML_NAME = "libnvidia-ml.so.1"
PATIENCE = 30.0
"""Seconds a program may take: nvidia-smi hangs on a sick GPU."""

_MAX_FILE = 8 << 20
_SYSTEM_PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin")
_AFTER_KILL = 2.0


@dataclass(frozen=True)
class Ran:
    """How a program ended and what it said. `status` None: it did not end in time."""

    status: Optional[int]
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether it ended by itself and well."""
        return self.status == 0

    @property
    def said(self) -> str:
        """All it said, errors last."""
        return "\n".join(filter(None, (self.out.strip(), self.err.strip())))


@dataclass(frozen=True)
class Sources:
    """A host to be read.

    `root` stands before every path; `path` is where programs are looked up;
    `nvml` is what to load as NVML, None to leave it alone; `patience` is the time
    limit of a program in seconds. `home` is that of the user who asks. `arch`,
    `kernel` and `name` are what uname says; without, they are looked for below /proc.
    """

    root: str = "/"
    path: str = os.defpath
    nvml: Optional[str] = NVML_NAME
    patience: float = PATIENCE
    home: str = "/root"
    arch: str = ""
    kernel: str = ""
    name: str = ""

    @classmethod
    def of_this_host(cls) -> Sources:
        """Return the host that this runs on."""
        places = os.environ.get("PATH", "").split(":")
        here = os.uname()
        places += [place for place in _SYSTEM_PLACES if place not in places]
        return cls(
            path=":".join(filter(None, places)),
            home=os.environ.get("HOME", "/root"),
            arch=here.machine,
            kernel=here.release,
            name=here.nodename,
        )

    def now(self) -> str:
        """Return the time by the host's clock, in UTC."""
        return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def at(self, path: str) -> str:
        """Return where `path` of that host lies here."""
        return path if self.root == "/" else self.root + path

    def read(self, path: str) -> Optional[str]:
        """Return the text of a file, or None."""
        data = self.read_bytes(path)
        return None if data is None else data.decode("utf-8", "replace")

    def read_bytes(self, path: str) -> Optional[bytes]:
        """Return what a file holds, up to a limit, or None."""
        try:
            with open(self.at(path), "rb") as file:
                return file.read(_MAX_FILE)
        except OSError:
            return None

    def line(self, path: str) -> Optional[str]:
        """Return the stripped text of a small file; None when it has none."""
        return (self.read(path) or "").strip() or None

    def names(self, path: str) -> Optional[Tuple[str, ...]]:
        """Return the names in a directory, sorted, or None."""
        try:
            return tuple(sorted(os.listdir(self.at(path))))
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Say whether a path is there; a link to nothing is not."""
        return os.path.exists(self.at(path))

    def link(self, path: str) -> Optional[str]:
        """Return the last name of what a link points to, or None."""
        try:
            return os.path.basename(os.readlink(self.at(path)))
        except OSError:
            return None

    def program(self, name: str) -> Optional[str]:
        """Return the path of a program as it can be run here, or None."""
        for place in self.path.split(":"):
            candidate = os.path.join(place, name)
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
        return None

    def run(self, name: str, *arguments: str) -> Optional[Ran]:
        """Run a program to its end or its time limit; None where it is not there."""
        found = self.program(name)
        if found is None:
            return None
        return run_limited((found, *arguments), self.path, self.patience)


def changed(path: str) -> Optional[float]:
    """Return when the file at a path of this machine was last changed, or None.

    ctime: packages set a file's mtime to when it was built.
    """
    try:
        return os.stat(path).st_ctime
    except OSError:
        return None


def run_limited(argv: Tuple[str, ...], path: str, patience: float) -> Optional[Ran]:
    """Run a program, kill its whole process group when it takes too long."""
    try:
        process = subprocess.Popen(
            argv,
            env={"PATH": path, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError:
        return None
    try:
        out, err = process.communicate(timeout=patience)
        return Ran(process.returncode, _text(out), _text(err))
    except subprocess.TimeoutExpired:
        return _give_up(process)
    except BaseException:
        _give_up(process)
        raise


def _give_up(process: subprocess.Popen[bytes]) -> Ran:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    # One that waits inside the driver does not die of SIGKILL: it is left behind.
    deadline = time.monotonic() + _AFTER_KILL
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
    return Ran(None, "", "")


def _text(data: bytes) -> str:
    return data[:_MAX_FILE].decode("utf-8", "replace")
