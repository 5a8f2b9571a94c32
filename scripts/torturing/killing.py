"""Run a command and kill it at an instant, as a power switch would: without a word."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HANGS = 120
"""Seconds after which a command that was not to be killed counts as hanging."""


@dataclass(frozen=True)
class End:
    """How a run ended: its exit code (None when it was killed), what it said."""

    code: int | None
    out: str
    err: str
    seconds: float


def run(
    command: Sequence[str | Path],
    folder: Path,
    *,
    kill_after: float | None = None,
    env: Mapping[str, str] | None = None,
) -> End:
    """Run a command; kill it and its children after some seconds, unless it is done.

    What it says goes through files in `folder`: a pipe would keep a child's output
    waiting. Raises subprocess.TimeoutExpired when it hangs.
    """
    places = folder / "stdout", folder / "stderr"
    begun = time.monotonic()
    with places[0].open("wb") as out, places[1].open("wb") as err:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        code = _wait(process, kill_after)
    seconds = time.monotonic() - begun
    said, told = (place.read_text("utf-8", "replace") for place in places)
    return End(code, said, told, seconds)


class Forks:
    """Runs `sealift` as `run` does, forked from a process that has imported it."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("forks.py")
        self._server = subprocess.Popen(
            [sys.executable, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def run(
        self,
        command: Sequence[str | Path],
        folder: Path,
        *,
        kill_after: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> End:
        """Run a command; kill it after some seconds, unless it is done."""
        places = {name: str(folder / name) for name in ("stdout", "stderr")}
        order = {"argv": [str(word) for word in command], "env": env or {}, **places}
        assert self._server.stdin
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        self._server.stdin.flush()
        pid = self._answer()
        begun = time.monotonic()
        if not self._has_ended(HANGS if kill_after is None else kill_after):
            os.killpg(pid, signal.SIGKILL)
        code = self._answer()
        seconds = time.monotonic() - begun
        said, told = (Path(x).read_text("utf-8", "replace") for x in places.values())
        return End(None if code == -signal.SIGKILL else code, said, told, seconds)

    def close(self) -> None:
        """End the process that forks."""
        self._server.communicate()

    def _answer(self) -> int:
        assert self._server.stdout
        return int(self._server.stdout.readline())

    def _has_ended(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._server.stdout], [], [], seconds)
        return bool(ready)


def _wait(process: subprocess.Popen[bytes], kill_after: float | None) -> int | None:
    try:
        return process.wait(HANGS if kill_after is None else kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if kill_after is None:
            raise
    # It may have ended by itself between the time-out and the signal.
    return None if process.returncode == -signal.SIGKILL else process.returncode
