"""How far a task is: bytes, rate, time left and which file, for people or programs."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import Any, Deque, Optional, TextIO, Tuple

from sealift_manifests.sizes import human

AUTO, PLAIN, JSON = "auto", "plain", "json"
STYLES = (AUTO, PLAIN, JSON)
"""`auto` is a line that changes on a terminal, and plain lines elsewhere."""

_WINDOW = 30.0
_INTERVALS = {AUTO: 0.2, PLAIN: 10.0, JSON: 1.0}
_ITEM_WIDTH = 32


class Meter:
    """Counts what is done of a task: call it with the bytes that were just dealt with.

    `stream` gets the lines, nobody if it is None. Not for several threads at once.
    """

    def __init__(
        self, task: str, total: int, stream: Optional[TextIO], style: str
    ) -> None:
        self._task = task
        self._total = total
        self._stream = stream
        is_plain = style == AUTO and not (stream and stream.isatty())
        self._style = PLAIN if is_plain else style
        self._done = 0
        self._item = ""
        self._is_shown = False
        self._start = self._shown = time.monotonic()
        self._pace: Deque[Tuple[float, int]] = deque([(self._start, 0)])
        if self._style == JSON:
            self._say("begin")

    def __call__(self, size: int) -> None:
        """Count bytes."""
        self._done += size
        now = time.monotonic()
        if now - self._pace[-1][0] >= _WINDOW / 30:
            self._pace.append((now, self._done))
            while now - self._pace[1][0] >= _WINDOW:
                self._pace.popleft()
        if now - self._shown >= _INTERVALS[self._style]:
            self._shown = now
            self._say("progress")

    def at(self, item: str) -> None:
        """Say what is in work from now on: a file, a layer."""
        self._item = item

    def finish(self) -> None:
        """Say how long it took."""
        seconds = time.monotonic() - self._start
        rate = human(int(self._done / max(seconds, 1e-3)))
        if self._style == JSON:
            self._say("end")
            return
        text = f"{self._task}: {human(self._done)} in {seconds:.1f} s ({rate}/s)"
        self._write(f"\r{text}\x1b[K\n" if self._style == AUTO else f"{text}\n")

    def leave_line(self) -> None:
        """End the line that changes: something else is said, or all is over."""
        if self._style == AUTO and self._is_shown:
            self._write("\n")
            self._is_shown = False

    def _say(self, event: str) -> None:
        rate, left = self._rate()
        if self._style == JSON:
            facts = {
                "task": self._task,
                "item": self._item,
                "done": self._done,
                "total": self._total,
                "rate": round(rate),
                "left": left,
            }
            self._write(json_line(event, **facts))
            return
        parts = [f"{self._task}: {human(self._done)} of {human(self._total)}"]
        if left is not None:
            parts += [f"{human(int(rate))}/s", f"{span(left)} left"]
        if self._item:
            parts.append(_shortened(self._item))
        text = ", ".join(parts)
        self._is_shown = True
        self._write(f"\r{text}\x1b[K" if self._style == AUTO else f"{text}\n")

    def _rate(self) -> Tuple[float, Optional[int]]:
        """Return bytes per second over the last half minute, and seconds left."""
        since, before = self._pace[0]
        seconds = time.monotonic() - since
        rate = (self._done - before) / seconds if seconds else 0.0
        left = max(0, self._total - self._done) / rate if rate > 0 else None
        return rate, None if left is None else round(left)

    def _write(self, text: str) -> None:
        if self._stream:
            self._stream.write(text)
            self._stream.flush()


def json_line(event: str, **facts: Any) -> str:
    """Return a line of JSON for programs."""
    return json.dumps({"event": event, **facts}) + "\n"


def span(seconds: int) -> str:
    """Return a time for people: `40 s`, `5 min`, `2 h 10 min`."""
    if seconds < 100:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _shortened(text: str) -> str:
    return text if len(text) <= _ITEM_WIDTH else f"...{text[3 - _ITEM_WIDTH :]}"
