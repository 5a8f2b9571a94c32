"""Run a command and kill it at an instant, as a power switch would: without a word."""

from __future__ import annotations

import os
import signal
import subprocess
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
