"""How far a task is: bytes, rate, time left, and what is in work.

A `Meter` counts; a display shows it as a bar or as lines for people, or as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from sealift_manifests.sizes import human
from tqdm import tqdm

Item = Callable[[str], AbstractContextManager[None]]
"""Says, for as long as its context lasts, that something of this name is in work."""

_WINDOW = 30.0
_PLAIN_INTERVAL = 10.0
_JSON_INTERVAL = 1.0
_ITEM_WIDTH = 32


def no_item(name: str) -> AbstractContextManager[None]:
    """Do not say what is in work."""
    return nullcontext()


@dataclass(frozen=True)
class State:
    """How far a task is. `done` and `total` are bytes, `rate` is bytes per second,
    `left` seconds, None while that cannot be told."""

    task: str
    item: str
    done: int
    total: int
    rate: float
    left: float | None


class Display(Protocol):
    """Where states are shown. Calls come one at a time."""

    def show(self, state: State, event: str) -> None:
        """Show a state; `event` is begin, progress or end."""


class Pace:
    """The rate of a task over its last half minute: what it does changes on the way."""

    def __init__(self, now: float) -> None:
        self._seen = deque([(now, 0)])

    def note(self, now: float, done: int) -> None:
        """Take in how much is done; cheap enough to be called for every piece."""
        if now - self._seen[-1][0] >= _WINDOW / 30:
            self._seen.append((now, done))
            while now - self._seen[1][0] >= _WINDOW:
                self._seen.popleft()

    def rate(self, now: float, done: int) -> float:
        """Return bytes per second."""
        since, before = self._seen[0]
        return max(0.0, (done - before) / (now - since)) if now > since else 0.0


class Meter:
    """Counts what is done of a task: it is called with bytes just dealt with."""

    def __init__(self, task: str, total: int, display: Display) -> None:
        self._task = task
        self._total = total
        self._display = display
        self._lock = threading.Lock()
        self._items: list[str] = []
        self._done = 0
        self._pace = Pace(time.monotonic())

    def __call__(self, size: int) -> None:
        """Count bytes, fewer if `size` is negative."""
        with self._lock:
            self._done += size
            self._pace.note(time.monotonic(), self._done)
            self._show("progress")

    @contextmanager
    def item(self, name: str) -> Iterator[None]:
        """Say what is in work: a file, a layer. Several threads may say so at once."""
        with self._lock:
            self._items.append(name)
        try:
            yield
        finally:
            with self._lock:
                self._items.remove(name)

    @contextmanager
    def running(self) -> Iterator[Meter]:
        """Show the begin and the end of the task."""
        with self._lock:
            self._show("begin")
        try:
            yield self
        finally:
            with self._lock:
                self._show("end")

    def _show(self, event: str) -> None:
        rate = self._pace.rate(time.monotonic(), self._done)
        left = (self._total - self._done) / rate if rate else None
        more = f" and {len(self._items) - 1} more" if len(self._items) > 1 else ""
        item = f"{self._items[0]}{more}" if self._items else ""
        state = State(self._task, item, self._done, self._total, rate, left)
        self._display.show(state, event)


class NoDisplay:
    """Shows nothing."""

    def show(self, state: State, event: str) -> None:
        """Show nothing."""


class BarDisplay:
    """A bar on a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def show(self, state: State, event: str) -> None:
        """Move the bar, which is made at the begin and stays at its end."""
        if event == "begin":
            self._bar = tqdm(
                total=state.total,
                desc=state.task,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                file=sys.stderr,
                mininterval=0.2,
                dynamic_ncols=True,
            )
        self._bar.set_postfix_str(_shortened(state.item), refresh=False)
        self._bar.update(state.done - self._bar.n)
        if event == "end":
            self._bar.close()


class PlainDisplay:
    """Whole lines for a log, and none for what is done soon."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._shown = time.monotonic()

    def show(self, state: State, event: str) -> None:
        """Say a line every ten seconds at most."""
        now = time.monotonic()
        if event == "progress" and now - self._shown >= _PLAIN_INTERVAL:
            self._shown = now
            self._say(plain_line(state))


class JsonDisplay:
    """Lines of JSON for programs; README says what the fields mean."""

    def __init__(self) -> None:
        self._shown = 0.0

    def show(self, state: State, event: str) -> None:
        """Say begin and end, and a line every second at most between them."""
        now = time.monotonic()
        if event == "progress" and now - self._shown < _JSON_INTERVAL:
            return
        self._shown = now
        left = None if state.left is None else max(0, round(state.left))
        facts = {**vars(state), "rate": round(state.rate), "left": left}
        say_json(event, **facts)


def plain_line(state: State) -> str:
    """Return a state in one line, for people."""
    parts = [f"{state.task}: {human(state.done)} of {human(state.total)}"]
    if state.rate and state.left is not None and state.left >= 0:
        parts += [f"{human(round(state.rate))}/s", f"{span(state.left)} left"]
    return ", ".join([*parts, *([state.item] if state.item else [])])


def span(seconds: float) -> str:
    """Return a time for people: `40 s`, `5 min`, `2 h 10 min`."""
    minutes, hours = round(seconds / 60), int((seconds + 30) // 3600)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{hours} h {minutes - 60 * hours} min" if hours else f"{minutes} min"


def say_json(event: str, **facts: Any) -> None:
    """Print one line of JSON on standard error."""
    print(json.dumps({"event": event, **facts}), file=sys.stderr, flush=True)


def _shortened(text: str) -> str:
    return text if len(text) <= _ITEM_WIDTH else f"...{text[3 - _ITEM_WIDTH :]}"
