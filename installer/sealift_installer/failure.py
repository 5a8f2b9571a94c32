"""What is told of services that do not serve: state, last words, known causes."""

from __future__ import annotations

from typing import List, Mapping, Optional, Sequence, Tuple

from sealift_manifests.errors import StartError

from sealift_installer.container_log import LAST_LINES, last_log_lines
from sealift_installer.diagnosis import Cause, Evidence, causes_of
from sealift_installer.engine import Engine
from sealift_installer.service_state import ServiceState

_SEARCHED = 500
"""Lines of a log that are searched for causes: tracebacks follow one another."""

_HINT = (
    "See the whole log with `logs`. If the service only needs longer, raise "
    "`start_period` of its health check, or the time to wait."
)


def start_error(
    engine: Engine,
    project: str,
    states: Sequence[ServiceState],
    gone: Sequence[str],
    after: Optional[float] = None,
    said: Optional[Mapping[str, str]] = None,
) -> StartError:
    """Return the error for services that failed, and for those without a container.

    `said` is what containers answered last when they were asked whether they are ready.
    """
    when = "" if after is None else f" after {after:.0f} seconds"
    lines = [f"the stack {project} is not up{when}"]
    lines += [f"service {service} has no container" for service in gone]
    found: List[Cause] = []
    for state in states:
        told, causes = describe(engine, state)
        if said and state.container in said:
            told = (
                told[0],
                f"  asked whether it is ready, {said[state.container]}",
                *told[1:],
            )
        lines += told
        found += causes
    return StartError(
        "\n".join(lines),
        hint=found[0].remedy if found else _HINT,
        facts={"causes": [cause.facts() for cause in found]} if found else None,
    )


def describe(
    engine: Engine, state: ServiceState
) -> Tuple[Tuple[str, ...], Tuple[Cause, ...]]:
    """Return what there is to say of a container, line by line, and known causes."""
    log = last_log_lines(engine, state.container, _SEARCHED)
    causes = causes_of(evidence_of(state, log))
    lines = [f"service {state.service} is {state} ({state.container})"]
    if state.error:
        lines.append(f"  the engine says: {state.error}")
    if state.health_output:
        lines.append(f"  its health check says: {state.health_output}")
    lines += [f"  | {line}" for line in log[-LAST_LINES:]]
    for cause in causes:
        lines += [f"  {line}" for line in str(cause).split("\n")]
    return tuple(lines), causes


def evidence_of(state: ServiceState, log: Sequence[str]) -> Evidence:
    """Return what a container's state and log say about why it does not serve."""
    ended = state.status in ("exited", "dead", "restarting")
    return Evidence(
        log="\n".join(log),
        engine=state.error,
        exit_code=state.exit_code if ended else None,
        out_of_memory=state.out_of_memory,
        memory_limit=state.memory_limit,
    )
