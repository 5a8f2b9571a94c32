"""What the operator sees while a stack comes up: who is waited for, its last word."""

from __future__ import annotations

import time
from typing import Callable, Mapping, Tuple

from sealift_installer.container_log import last_log_lines
from sealift_installer.engine import Engine, printable
from sealift_installer.service_state import ServiceState

EVERY = 15.0
"""Seconds between two looks that are told."""

_SHOWN = 120


class Waiting:
    """Tells every some seconds what is not up yet; a `progress` of `wait_healthy`."""

    def __init__(
        self,
        engine: Engine,
        say: Callable[[str], None],
        said: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._say = say
        self._said = said
        self._clock = clock
        self._began = self._last = clock()

    def __call__(self, states: Tuple[ServiceState, ...]) -> None:
        now = self._clock()
        if now - self._last < EVERY:
            return
        self._last = now
        for state in states:
            self._say(self._line(state, now - self._began))

    def _line(self, state: ServiceState, seconds: float) -> str:
        words = f"{state.service} is {state} after {seconds:.0f} s"
        if state.health is None and state.container in self._said:
            words += f" ({self._said[state.container]})"
        last = last_log_lines(self._engine, state.container, 1)
        return f"{words}; it says: {printable(last[0], _SHOWN)}" if last else words
