"""Is the stack up? Looks at the containers of a Compose project until it is.

A service is up when each of its containers is healthy; or, without a health check,
answers where its server is known to say that it is ready; or else has run for some
seconds without a restart; or has finished with status 0 and is not to be restarted (a
one-shot job). Unhealthy is final, as it is for Compose's own `depends_on`: how long a
start may take is said by the health check.
"""

from __future__ import annotations

import time
from typing import Callable, Dict, Iterable, Mapping, Optional, Tuple

from sealift_installer.engine import Engine
from sealift_installer.failure import start_error
from sealift_installer.service_state import ServiceState, project_state

STEADY_SECONDS = 3.0
MAX_RESTARTS = 10
"""Restarts while waiting that end the wait. The engine's growing pauses make ten of
them take minutes: enough for a service that waits so for another one."""

DEFAULT_WAIT = 1800
"""Seconds to wait for health: loading a large model takes many minutes."""


_POLL_SECONDS = 0.5


Progress = Callable[[Tuple[ServiceState, ...]], None]
Ready = Callable[[ServiceState], Optional[bool]]
"""Says whether a service without a health check is ready; None where nobody knows."""


def _nobody_knows(state: ServiceState) -> Optional[bool]:
    return None


def wait_healthy(
    engine: Engine,
    project: str,
    services: Iterable[str],
    timeout_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress = lambda states: None,
    ready: Ready = _nobody_knows,
    said: Optional[Mapping[str, str]] = None,
) -> Tuple[ServiceState, ...]:
    """Wait until every service is up, and return the containers.

    `progress` is told at each look what is still waited for; `said` is what `ready`
    was answered.
    Raises StartError with the state, the health check's last words, the last log lines
    and the known causes of each service that failed, or that is not up after
    `timeout_s` seconds.
    """
    watch, expected = _Watch(clock, ready), set(services)
    end = clock() + timeout_s
    while True:
        states = project_state(engine, project)
        watch.see(states)
        late = tuple(
            state
            for state in states
            if state.service in expected and not watch.is_up(state)
        )
        gone = sorted(expected - {state.service for state in states})
        failed = [state for state in states if watch.is_failed(state)]
        if failed:
            raise start_error(engine, project, failed, [])
        if not late and not gone:
            return states
        progress(late)
        if clock() >= end:
            raise start_error(engine, project, late, gone, timeout_s, said)
        sleep(_POLL_SECONDS)


class _Watch:
    """Remembers since when each container has run, and how often it restarted."""

    def __init__(
        self, clock: Callable[[], float], ready: Ready = _nobody_knows
    ) -> None:
        self._clock = clock
        self._ready = ready
        self._since: Dict[Tuple[str, str], float] = {}
        self._restarts: Dict[str, int] = {}

    def see(self, states: Tuple[ServiceState, ...]) -> None:
        for state in states:
            self._since.setdefault((state.container, state.started), self._clock())
            self._restarts.setdefault(state.container, state.restarts)

    def is_failed(self, state: ServiceState) -> bool:
        restarts = state.restarts - self._restarts[state.container]
        return state.is_failed or restarts >= MAX_RESTARTS

    def is_up(self, state: ServiceState) -> bool:
        if state.status != "running":
            return state.is_done
        if state.health is not None:
            return state.health == "healthy"
        ready = self._ready(state)
        if ready is not None:
            return ready
        since = self._since[(state.container, state.started)]
        return self._clock() - since >= STEADY_SECONDS
