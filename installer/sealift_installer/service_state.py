"""The containers of a Compose project, as the engine sees them at one moment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, Optional, Tuple

from sealift_installer.composed import (
    containers_of,
    filter_of,
    listed,
    name_of,
    service_of,
)
from sealift_installer.engine import Engine, printable

_LINE = 400
_NANO = 1_000_000_000
_LOOPING = 60.0
"""One that was started again less than these seconds ago may be so again."""

_GRACE = 60.0
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")


@dataclass(frozen=True)
class ServiceState:
    """One container of a service, as the engine sees it now.

    `health` is None without a health check. `started` is the engine's own text, and
    `error` what it says of a start that failed. `memory_limit` is in bytes, 0 for none;
    `start_period` in seconds.
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
    error: str = ""
    memory_limit: int = 0
    start_period: float = 0.0

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

    def fault_at(self, now: datetime) -> Optional[str]:
        """Return what is wrong with it now, in words; None for nothing."""
        age = self.age_at(now)
        if self.status == "restarting" or (self.restarts and age < _LOOPING):
            return "it ends and is started again, over and over"
        if self.health == "unhealthy":
            return "it runs, and its health check fails"
        if self.status in ("exited", "dead") and not self.is_done:
            return "it has ended"
        if self.health == "starting" and age > self.start_period + _GRACE:
            return "it has been starting for longer than its start period: it hangs"
        if self.status in ("created", "paused"):
            return f"it is {self.status}, and so does not run"
        return None

    def age_at(self, now: datetime) -> float:
        """Return for how many seconds it has run, or 0 if it does not."""
        match = _MOMENT.match(self.started)
        if self.status not in ("running", "restarting") or not match:
            return 0.0
        began = datetime.strptime(match[0], "%Y-%m-%dT%H:%M:%S")
        return max(0.0, (now - began.replace(tzinfo=timezone.utc)).total_seconds())

    def __str__(self) -> str:
        words = self.health if self.status == "running" and self.health else self.status
        if self.status in ("exited", "dead", "restarting"):
            words += f" with status {self.exit_code}"
        if self.restarts:
            words += f", restarted {self.restarts} times"
        if self.out_of_memory:
            words += ", killed for lack of memory"
        return words


def project_state(engine: Engine, project: str) -> Tuple[ServiceState, ...]:
    """Return every container of a Compose project, sorted by service."""
    states = [state_of(shown) for shown in containers_of(engine, project)]
    return tuple(sorted(states, key=lambda state: (state.service, state.container)))


def is_there(engine: Engine, project: str) -> bool:
    """Say whether the engine has anything of a Compose project.

    A start that failed may have left a network and no container.
    """
    networks = engine.get("/networks", filters=filter_of(project))
    return bool(listed(engine, project) or networks)


def state_of(found: Dict[str, Any]) -> ServiceState:
    """Return the state of a container from all that the engine tells of it."""
    state, config = found.get("State") or {}, found.get("Config") or {}
    settings = found.get("HostConfig") or {}
    health = state.get("Health") or {}
    log = health.get("Log") or [{}]
    has_check = health.get("Status") not in (None, "", "none")
    check = config.get("Healthcheck") or {}
    return ServiceState(
        service=service_of(found),
        container=name_of(found),
        status=printable(state.get("Status")),
        health=printable(health["Status"]) if has_check else None,
        exit_code=int(state.get("ExitCode") or 0),
        restarts=int(found.get("RestartCount") or 0),
        restart_policy=printable((settings.get("RestartPolicy") or {}).get("Name")),
        started=printable(state.get("StartedAt")),
        out_of_memory=bool(state.get("OOMKilled")),
        health_output=printable(str(log[-1].get("Output") or "").strip(), _LINE),
        error=printable(state.get("Error")),
        memory_limit=int(settings.get("Memory") or 0),
        start_period=int(check.get("StartPeriod") or 0) / _NANO,
    )
