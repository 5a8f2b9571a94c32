"""A Docker engine of a test's own, which it may kill: in its own network namespace.

So its bridge, its rules and its published ports are nobody else's. Root only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engines import unique
from hosts import NoNetwork
from sealift_installer.engine import Engine
from sealift_manifests.errors import EngineError

_PATIENCE = 60.0


@dataclass(frozen=True)
class InNamespace(NoNetwork):
    """Runs programs where the engine's ports are published."""

    name: str = ""

    def wrap(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command that runs `argv` there."""
        # Not `ip netns exec`: that hides the control groups.
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, argv)]


class PrivateEngine:
    """A dockerd, alive or killed."""

    def __init__(self, folder: Path, network: InNamespace) -> None:
        self.network = network
        self.socket = str(folder / "s")
        self._folder = folder
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers.

        On a busy machine its containerd may miss the 15 seconds that it is given.
        """
        if not self._started():
            assert self._started(), self._log.read_text()[-3000:]

    def _started(self) -> bool:
        words = [
            *("dockerd", "--host", f"unix://{self.socket}"),
            *("--data-root", self._folder / "data"),
            *("--exec-root", self._folder / "exec"),
            *("--pidfile", self._folder / "pid"),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.network.wrap(words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                Engine(self.socket).require_answer(5)
            except EngineError:
                if self._process.poll() is not None:
                    return False
                assert time.monotonic() < end, self._log.read_text()[-3000:]
                time.sleep(0.1)
            else:
                return True

    def kill(self) -> None:
        """Kill it as a crash does; containers and their shims live on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        # Left by whoever was killed: the next one would take it for a living one.
        (self._folder / "pid").unlink()

    def end(self) -> None:
        """End it with all its containers."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        engine = Engine(self.socket)
        for each in engine.get("/containers/json", all="1"):
            engine.send("DELETE", f"/containers/{each['Id']}?force=1")
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)
        containerd = self._folder / "exec/containerd/containerd.pid"
        with suppress(OSError, ValueError):
            os.kill(int(containerd.read_text()), signal.SIGKILL)
        # One that was killed has left the mounts of its containers.
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        places = [line.split()[1] for line in mounts]
        for place in sorted(places, reverse=True):
            if place.startswith(f"{self._folder}/"):
                subprocess.run(["umount", place], check=True)


@contextmanager
def private_engine() -> Iterator[PrivateEngine]:
    """Start an engine that keeps everything in a directory of its own; take it down."""
    name = unique("engine")[-12:]
    # A short path: those of sockets have at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="sealift-engine-"))
    subprocess.run(["ip", "netns", "add", name], check=True)
    network = InNamespace(name=name)
    engine = PrivateEngine(folder, network)
    try:
        subprocess.run(network.wrap(["ip", "link", "set", "lo", "up"]), check=True)
        engine.start()
        yield engine
    finally:
        engine.end()
        subprocess.run(["ip", "netns", "delete", name], check=True)
        shutil.rmtree(folder, ignore_errors=True)
