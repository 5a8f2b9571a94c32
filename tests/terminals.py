"""A command on a terminal, and somebody who reads it and types."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 60
"""Seconds to wait for what is to be said."""
_TO_THE_END = 300


class Terminal:
    """Runs a command on a terminal of its own; use it in a `with`."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._fd, theirs = pty.openpty()
        self.said = ""
        self._read = 0
        self._process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "200", **(env or {})},
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)

    def wait_for(self, words: str, *, or_else: str | None = None) -> str:
        """Read until these words, or the others, are said; return what was said."""
        end = time.monotonic() + PATIENCE
        while True:
            news = self.said[self._read :]
            for wanted in (words, or_else):
                if wanted and wanted in news:
                    size = news.index(wanted) + len(wanted)
                    self._read += size
                    return news[:size]
            if time.monotonic() > end or not self._more(1.0):
                raise AssertionError(f"{words!r} was not said:\n{self.said}")

    def interrupt(self) -> None:
        """Send what Ctrl-C sends."""
        self._process.send_signal(signal.SIGINT)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._fd, f"{line}\n".encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        patience = time.monotonic() + _TO_THE_END
        while self._more(1.0):
            if time.monotonic() > patience:
                raise AssertionError(f"it did not end:\n{self.said}")
        return self._process.wait(PATIENCE)

    def _more(self, seconds: float) -> bool:
        """Read what there is; say whether there may be more."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return self._process.poll() is None
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:
            return False  # The other side of the terminal is closed.
        self.said += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)
