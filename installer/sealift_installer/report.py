"""What the operator sees: steps, progress and the result, as text or as JSON.

Steps and progress go to standard error, the result to standard output.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, TextIO

from sealift_manifests.errors import SealiftError

from sealift_installer.engine import printable
from sealift_installer.progress import AUTO, JSON, Meter, json_line


class Report:
    """Speaks to the operator; with `as_json` only the result is said, as JSON.

    `style` is how steps and progress are shown; JSON lines of them are shown also
    beside a result in JSON, for they go another way.
    """

    def __init__(
        self,
        *,
        as_json: bool,
        style: str = AUTO,
        out: TextIO = sys.stdout,
        err: TextIO = sys.stderr,
    ) -> None:
        self._as_json = as_json
        self._style = style
        self._out = out
        self._err = err
        self._meter: Optional[Meter] = None

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to ask, on a terminal."""
        return sys.stdin.isatty() and not self._as_json and self._style != JSON

    def ask(self, text: str) -> Optional[str]:
        """Return the line that was typed, without its end; None if there is no more."""
        print(_plain(text), end=" ", file=self._err, flush=True)
        line = sys.stdin.readline()
        return line.strip() if line else None

    def step(self, text: str) -> None:
        """Say what is being done or was found."""
        if self._style == JSON:
            self._say_event("step", text=text)
        elif not self._as_json:
            if self._meter:
                self._meter.leave_line()
            print(_plain(text), file=self._err, flush=True)

    def result(self, command: str, text: str, facts: Dict[str, Any]) -> None:
        """Say how the command ended."""
        if self._as_json:
            self._print_json({"command": command, "ok": True, **facts})
        elif text:
            print(_plain(text), file=self._out, flush=True)

    def line(self, text: str) -> None:
        """Print a line of a result that comes line by line."""
        print(_plain(text), file=self._out, flush=True)

    def failure(self, command: str, error: SealiftError, facts: Dict[str, Any]) -> None:
        """Say why the command failed and what to do next."""
        details = {
            "slug": error.slug,
            "exit_code": error.exit_code,
            "message": error.message,
            "hint": error.hint,
        }
        if self._style == JSON:
            self._say_event("error", **details)
        if self._as_json:
            self._print_json(
                {"command": command, "ok": False, "error": details, **facts}
            )
        elif self._style != JSON:
            print(
                f"sealift-installer {command}: {_plain(error.message)}\n"
                f"  {_plain(error.hint)}\n"
                f"  [{error.slug}, exit code {error.exit_code}]",
                file=self._err,
                flush=True,
            )

    def interrupted(self, again: str) -> None:
        """Say that the command was stopped, and the line to continue."""
        if self._style == JSON:
            self._say_event("interrupted", **{"continue": again})
        else:
            self.step(f"\ninterrupted; what is verified is kept. To continue:\n{again}")

    @contextmanager
    def progress(self, task: str, total: int) -> Iterator[Meter]:
        """Give a meter to be told of bytes done; shows bytes, rate and time left."""
        shown = self._style == JSON or not self._as_json
        meter = Meter(task, total, self._err if shown else None, self._style)
        self._meter = meter
        try:
            yield meter
        except BaseException:
            meter.leave_line()
            raise
        finally:
            self._meter = None
        meter.finish()

    def _say_event(self, event: str, **facts: Any) -> None:
        self._err.write(json_line(event, **facts))
        self._err.flush()

    def _print_json(self, value: Dict[str, Any]) -> None:
        print(json.dumps(value, indent=1, sort_keys=True), file=self._out, flush=True)


def _plain(text: str) -> str:
    """Return text whose names, maybe chosen by others, cannot steer a terminal."""
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))
