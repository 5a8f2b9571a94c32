"""What the operator sees: steps, progress and the result, as text or as JSON.

Steps and progress go to standard error, the result to standard output.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, TextIO

from sealift_manifests.errors import SealiftError
from sealift_manifests.sizes import human

from sealift_installer.engine import printable

_TERMINAL_INTERVAL = 0.2
_PLAIN_INTERVAL = 10.0


class Report:
    """Speaks to the operator; with `as_json` only the result is said, as JSON."""

    def __init__(
        self, *, as_json: bool, out: TextIO = sys.stdout, err: TextIO = sys.stderr
    ) -> None:
        self._as_json = as_json
        self._out = out
        self._err = err

    def step(self, text: str) -> None:
        """Say what is being done or was found."""
        if not self._as_json:
            print(_plain(text), file=self._err, flush=True)

    def result(self, command: str, text: str, facts: Dict[str, Any]) -> None:
        """Say how the command ended."""
        if self._as_json:
            self._print_json({"command": command, "ok": True, **facts})
        else:
            print(_plain(text), file=self._out, flush=True)

    def failure(self, command: str, error: SealiftError, facts: Dict[str, Any]) -> None:
        """Say why the command failed and what to do next."""
        if self._as_json:
            details = {
                "slug": error.slug,
                "exit_code": error.exit_code,
                "message": error.message,
                "hint": error.hint,
            }
            self._print_json(
                {"command": command, "ok": False, "error": details, **facts}
            )
        else:
            print(
                f"sealift-installer {command}: {_plain(error.message)}\n"
                f"  {_plain(error.hint)}\n"
                f"  [{error.slug}, exit code {error.exit_code}]",
                file=self._err,
                flush=True,
            )

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Give a function to be told of bytes done; shows bytes, rate and time left."""
        meter = _Meter(label, total, self._err)
        if self._as_json:
            yield lambda size: None
            return
        try:
            yield meter.add
        except BaseException:
            meter.stop()
            raise
        meter.finish()

    def _print_json(self, value: Dict[str, Any]) -> None:
        print(json.dumps(value, indent=1, sort_keys=True), file=self._out, flush=True)


class _Meter:
    def __init__(self, label: str, total: int, stream: TextIO) -> None:
        self._label = label
        self._total = total
        self._stream = stream
        self._terminal = stream.isatty()
        self._interval = _TERMINAL_INTERVAL if self._terminal else _PLAIN_INTERVAL
        self._done = 0
        self._start = self._shown = time.monotonic()

    def add(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if now - self._shown < self._interval:
            return
        self._shown = now
        rate = self._done / (now - self._start)
        left = max(0, self._total - self._done) / max(rate, 1)
        text = (
            f"{self._label}: {human(self._done)} of {human(self._total)}, "
            f"{human(int(rate))}/s, {left:.0f} s left"
        )
        if self._terminal:
            self._stream.write(f"\r{text}\x1b[K")
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def finish(self) -> None:
        seconds = time.monotonic() - self._start
        rate = human(int(self._done / max(seconds, 1e-3)))
        start = "\r" if self._terminal else ""
        end = "\x1b[K\n" if self._terminal else "\n"
        self._stream.write(
            f"{start}{self._label}: {human(self._done)} in {seconds:.1f} s ({rate}/s)"
            + end
        )
        self._stream.flush()

    def stop(self) -> None:
        if self._terminal:
            self._stream.write("\n")


def _plain(text: str) -> str:
    """Return text whose names, maybe chosen by others, cannot steer a terminal."""
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))
