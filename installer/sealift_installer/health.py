"""Is the stack up? Looks at the containers of a Compose project until it is.

A service is up when each of its containers is healthy; or, without a health check,
has run for some seconds without a restart; or has finished with status 0 and is
not to be restarted (a one-shot job). Unhealthy is final, as it is for Compose's
own `depends_on`: how long a start may take is said by the health check.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from sealift_manifests.errors import EngineError, StartError

from sealift_installer.engine import Engine, printable, with_query

STEADY_SECONDS = 3.0
MAX_RESTARTS = 10
"""Restarts while waiting that end the wait. The engine's growing pauses make ten of
them take minutes: enough for a service that waits so for another one."""

DEFAULT_WAIT = 1800
"""Seconds to wait for health: loading a large model takes many minutes."""


_POLL_SECONDS = 0.5
_LOG_LINES = 20
_LOG_BYTES = 1 << 20
_LINE = 400


@dataclass(frozen=True)
class ServiceState:
    """One container of a service, as the engine sees it now.

    `health` is None without a health check. `started` is the engine's own text.
    """

    service: str
    container: str
    status: str
    health: Optional[str]
    exit_code: int
    restarts: int
    restart_policy: str
    started: str
    out_of_memory: bool
    health_output: str

    @property
    def is_done(self) -> bool:
        """Say whether it finished well and stays finished."""
        return (
            self.status == "exited"
            and self.exit_code == 0
            and self.restart_policy in ("", "no", "on-failure")
        )

    @property
    def is_failed(self) -> bool:
        """Say whether it will not come up by waiting."""
        ended = self.status in ("exited", "dead")
        final = self.restart_policy in ("", "no") and self.exit_code != 0
        return self.health == "unhealthy" or (ended and final)

    def __str__(self) -> str:
        words = self.health if self.status == "running" and self.health else self.status
        if self.status in ("exited", "dead", "restarting"):
            words += f" with status {self.exit_code}"
        if self.restarts:
            words += f", restarted {self.restarts} times"
        if self.out_of_memory:
            words += ", killed for lack of memory"
        return words


Progress = Callable[[Tuple[ServiceState, ...]], None]


def project_state(engine: Engine, project: str) -> Tuple[ServiceState, ...]:
    """Return every container of a Compose project, sorted by service."""
    states = []
    for listed in _containers(engine, project):
        found = engine.find(f"/containers/{listed['Id']}/json")
        # One that is gone by now, or was made by `compose run`, is no service.
        if found and _labels(found).get("com.docker.compose.oneoff") != "True":
            states.append(_state(found))
    return tuple(sorted(states, key=lambda state: (state.service, state.container)))


def is_there(engine: Engine, project: str) -> bool:
    """Say whether the engine has anything of a Compose project.

    A start that failed may have left a network and no container.
    """
    networks = engine.get("/networks", filters=_of_project(project))
    return bool(_containers(engine, project) or networks)


def _containers(engine: Engine, project: str) -> List[Dict[str, Any]]:
    return engine.get("/containers/json", all="1", filters=_of_project(project)) or []


def _of_project(project: str) -> str:
    return json.dumps({"label": [f"com.docker.compose.project={project}"]})


def wait_healthy(
    engine: Engine,
    project: str,
    services: Iterable[str],
    timeout_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress = lambda states: None,
) -> Tuple[ServiceState, ...]:
    """Wait until every service is up, and return the containers.

    `progress` is told what each look has seen. Raises StartError with the state,
    the health check's last words and the last log lines of each service that
    failed, or that is not up after `timeout_s` seconds.
    """
    watch, expected = _Watch(clock), sorted(set(services))
    end = clock() + timeout_s
    while True:
        states = project_state(engine, project)
        progress(states)
        watch.see(states)
        waiting = [name for name in expected if not watch.is_up(name)]
        failed = [state for state in states if watch.is_failed(state)]
        if failed:
            raise _start_error(engine, project, failed, [])
        if not waiting:
            return states
        if clock() >= end:
            late = [state for state in states if state.service in waiting]
            gone = sorted(set(waiting) - {state.service for state in late})
            raise _start_error(engine, project, late, gone, after=timeout_s)
        sleep(_POLL_SECONDS)


class _Watch:
    """Remembers since when each container has run, and how often it restarted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: Dict[Tuple[str, str], float] = {}
        self._restarts: Dict[str, int] = {}
        self._states: Tuple[ServiceState, ...] = ()

    def see(self, states: Tuple[ServiceState, ...]) -> None:
        self._states = states
        for state in states:
            self._since.setdefault((state.container, state.started), self._clock())
            self._restarts.setdefault(state.container, state.restarts)

    def is_up(self, service: str) -> bool:
        mine = [state for state in self._states if state.service == service]
        return bool(mine) and all(map(self._container_is_up, mine))

    def is_failed(self, state: ServiceState) -> bool:
        restarts = state.restarts - self._restarts[state.container]
        return state.is_failed or restarts >= MAX_RESTARTS

    def _container_is_up(self, state: ServiceState) -> bool:
        if state.status != "running":
            return state.is_done
        if state.health is not None:
            return state.health == "healthy"
        since = self._since[(state.container, state.started)]
        return self._clock() - since >= STEADY_SECONDS


def _labels(found: Dict[str, Any]) -> Dict[str, str]:
    return (found.get("Config") or {}).get("Labels") or {}


def _state(found: Dict[str, Any]) -> ServiceState:
    state = found.get("State") or {}
    health = state.get("Health") or {}
    policy = (found.get("HostConfig") or {}).get("RestartPolicy") or {}
    log = health.get("Log") or [{}]
    has_check = health.get("Status") not in (None, "", "none")
    return ServiceState(
        service=printable(_labels(found).get("com.docker.compose.service")),
        container=printable(found.get("Name")).lstrip("/"),
        status=printable(state.get("Status")),
        health=printable(health["Status"]) if has_check else None,
        exit_code=int(state.get("ExitCode") or 0),
        restarts=int(found.get("RestartCount") or 0),
        restart_policy=printable(policy.get("Name")),
        started=printable(state.get("StartedAt")),
        out_of_memory=bool(state.get("OOMKilled")),
        health_output=printable(str(log[-1].get("Output") or "").strip(), _LINE),
    )


def _start_error(
    engine: Engine,
    project: str,
    states: List[ServiceState],
    gone: List[str],
    after: Optional[float] = None,
) -> StartError:
    when = "" if after is None else f" after {after:.0f} seconds"
    lines = [f"the stack {project} is not up{when}"]
    lines += [f"service {service} has no container" for service in gone]
    for state in states:
        lines.append(f"service {state.service} is {state} ({state.container})")
        if state.health_output:
            lines.append(f"  its health check says: {state.health_output}")
        lines += [f"  | {line}" for line in last_log_lines(engine, state.container)]
    return StartError(
        "\n".join(lines),
        hint="See the whole log with `docker logs CONTAINER`. If the service only "
        "needs longer, raise `start_period` of its health check, or the time to wait.",
    )


def last_log_lines(engine: Engine, container: str) -> Tuple[str, ...]:
    """Return the last lines a container wrote, fit for a terminal."""
    query = {"stdout": "1", "stderr": "1", "tail": str(_LOG_LINES)}
    path = f"/containers/{container}"
    try:
        has_terminal = (engine.get(f"{path}/json").get("Config") or {}).get("Tty")
        with engine.request("GET", with_query(f"{path}/logs", **query)) as answer:
            data = b""
            while len(data) < _LOG_BYTES:
                piece = answer.read(1 << 16)
                if not piece:
                    break
                data += piece
    except EngineError:
        return ()  # Its log driver keeps nothing that can be read back.
    text = (data if has_terminal else _payload(data)).decode("utf-8", "replace")
    lines = [printable(line.rstrip("\r"), _LINE) for line in text.split("\n")]
    return tuple([line for line in lines if line][-_LOG_LINES:])


def _payload(data: bytes) -> bytes:
    """Join the frames of a log: stream number, three zeros, size, then the bytes."""
    pieces, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        pieces.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return b"".join(pieces)
