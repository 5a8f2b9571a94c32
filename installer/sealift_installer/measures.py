"""What runs now, in numbers: ports, memory of containers, GPUs. Fast to ask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Dict, Mapping, Optional, Tuple

from sealift_manifests.errors import EngineError
from sealift_manifests.preflight.facts import Gpu
from sealift_manifests.sizes import human

from sealift_installer.composed import containers_of
from sealift_installer.engine import Engine, name_in_path, printable
from sealift_installer.probe.driver import read_driver
from sealift_installer.probe.kernel import loaded_version
from sealift_installer.probe.sources import Sources
from sealift_installer.service_state import ServiceState, state_of

_GPU_PATIENCE = 5.0


@dataclass(frozen=True)
class Measured:
    """A container, its published ports, and its memory in bytes where it is known."""

    state: ServiceState
    ports: Tuple[str, ...]
    memory: Optional[int]

    def facts(self, now: datetime) -> Dict[str, Any]:
        """Return the same for --json."""
        state = self.state
        return {
            "service": state.service,
            "container": state.container,
            "state": state.status,
            "health": state.health,
            "exit_code": state.exit_code if state.status != "running" else None,
            "restarts": state.restarts,
            "up_seconds": int(state.age_at(now)) or None,
            "ports": list(self.ports),
            "memory": self.memory,
            "memory_limit": state.memory_limit or None,
            "fault": state.fault_at(now),
        }

    def line(self, now: datetime) -> str:
        """Return it in one line, for people."""
        words = [f"{self.state.service}: {self.state}"]
        age = self.state.age_at(now)
        if age:
            words.append(f"up {duration(age)}")
        if self.memory is not None:
            limit = self.state.memory_limit
            most = f" of {human(limit)}" if limit else ""
            words.append(f"memory {human(self.memory)}{most}")
        words += [f"at {port}" for port in self.ports]
        return ", ".join(words)


def measure_project(engine: Engine, project: str) -> Tuple[Measured, ...]:
    """Return every container of a Compose project, sorted by service."""
    found = []
    for shown in containers_of(engine, project):
        state = state_of(shown)
        memory = _memory(engine, state) if state.status == "running" else None
        found.append(Measured(state, _ports(shown), memory))
    return tuple(
        sorted(found, key=lambda one: (one.state.service, one.state.container))
    )


def _ports(shown: Mapping[str, Any]) -> Tuple[str, ...]:
    ports = (shown.get("NetworkSettings") or {}).get("Ports") or {}
    return tuple(
        printable(f"{each.get('HostIp') or '*'}:{each.get('HostPort')}->{inside}")
        for inside, bound in sorted(ports.items())
        for each in bound or ()
    )


def _memory(engine: Engine, state: ServiceState) -> Optional[int]:
    """Return the memory that a container takes and could not give back at once."""
    path = f"/containers/{name_in_path(state.container)}/stats"
    query = {"stream": "0", "one-shot": "1"}
    try:
        found = (engine.get(path, **query) or {}).get("memory_stats") or {}
    except EngineError:
        return None
    usage, parts = found.get("usage"), found.get("stats") or {}
    if not isinstance(usage, int):
        return None
    # What the page cache holds of files nobody reads any more: cgroup 2, cgroup 1.
    idle = parts.get("inactive_file", parts.get("total_inactive_file", 0))
    return max(0, usage - int(idle or 0))


def gpus_now() -> Optional[Tuple[Gpu, ...]]:
    """Return this host's GPUs; None where no driver is loaded or answers."""
    sources = replace(Sources.of_this_host(), patience=_GPU_PATIENCE)
    if loaded_version(sources) is None:
        return None
    return read_driver(sources)[1]


def gpu_line(gpu: Gpu) -> str:
    """Return a GPU and its memory in one line, for people."""
    name = f"{gpu.index} {printable(gpu.name or 'GPU')}"
    if gpu.memory_total is None or gpu.memory_free is None:
        return name
    used = gpu.memory_total - gpu.memory_free
    return f"{name}: {human(used)} of {human(gpu.memory_total)} in use"


def gpu_facts(gpu: Gpu) -> Dict[str, Any]:
    """Return a GPU and its memory for --json."""
    known = gpu.memory_total is not None and gpu.memory_free is not None
    return {
        "index": gpu.index,
        "name": gpu.name,
        "uuid": gpu.uuid,
        "memory_total": gpu.memory_total,
        "memory_used": (gpu.memory_total or 0) - (gpu.memory_free or 0)
        if known
        else None,
    }


def duration(seconds: float) -> str:
    """Return a time in the two largest units that it has."""
    left, words = int(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= size:
            words.append(f"{left // size} {unit}")
            left %= size
    return " ".join(words[:2]) or "0 s"
