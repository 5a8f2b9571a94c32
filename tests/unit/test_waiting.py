"""What the operator sees while a stack comes up."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sealift_installer import health, waiting
from sealift_installer.health import STEADY_SECONDS
from sealift_installer.service_state import ServiceState
from sealift_installer.waiting import EVERY, Waiting

STATE = ServiceState(
    service="llm",
    container="acme-llm-1",
    status="running",
    health=None,
    exit_code=0,
    restarts=0,
    restart_policy="unless-stopped",
    started="2026-11-01T12:00:00.123456789Z",
    out_of_memory=False,
    health_output="",
)


def at(minute: int, second: int = 0) -> datetime:
    return datetime(2026, 11, 1, 12, minute, second, tzinfo=UTC)


def test_every_some_seconds_it_is_told_who_is_waited_for_and_what_it_said_last(
    monkeypatch,
):
    monkeypatch.setattr(waiting, "last_log_lines", lambda *_: ("loading shard 3/8",))
    said, now = [], [0.0]
    ready = {"acme-llm-1": "vllm at 127.0.0.1:8000/health: nobody listens there"}
    look = Waiting(object(), said.append, ready, clock=lambda: now[0])

    for second in range(int(2 * EVERY) + 1):
        now[0] = float(second)
        look((STATE,))

    assert said == [
        f"llm is running after {seconds} s (vllm at 127.0.0.1:8000/health: nobody "
        "listens there); it says: loading shard 3/8"
        for seconds in (15, 30)
    ]


def test_who_is_up_however_that_is_known_is_not_waited_for(monkeypatch):
    def container(service: str, **changes: object) -> ServiceState:
        return replace(STATE, service=service, container=service, **changes)

    states = (
        container("llm"),
        container("answers"),
        container("healthy", health="healthy"),
        container("job", status="exited", restart_policy="no"),
        container("of-another-release"),
        container("steady"),
    )
    answers = {"llm": iter([False, False, True]), "answers": iter([True] * 3)}
    now, seen = [0.0], []
    monkeypatch.setattr(health, "project_state", lambda *_: states)

    health.wait_healthy(
        object(),
        "acme",
        [state.service for state in states if state.service != "of-another-release"],
        60,
        clock=lambda: now[0],
        sleep=lambda _: now.__setitem__(0, now[0] + STEADY_SECONDS),
        progress=lambda late: seen.append([state.service for state in late]),
        ready=lambda state: (
            next(answers[state.service], True) if state.service in answers else None
        ),
    )

    assert seen == [["llm", "steady"], ["llm"]]


@pytest.mark.parametrize(
    ("changes", "now", "fault"),
    [
        ({}, at(9), None),
        ({"health": "healthy"}, at(9), None),
        ({"health": "unhealthy"}, at(9), "health check fails"),
        ({"health": "starting", "start_period": 600.0}, at(9), None),
        ({"health": "starting", "start_period": 60.0}, at(9), "it hangs"),
        ({"restarts": 4}, at(0, 20), "over and over"),
        ({"restarts": 4}, at(9), None),
        ({"status": "restarting"}, at(9), "over and over"),
        ({"status": "exited", "exit_code": 1}, at(9), "it has ended"),
        ({"status": "exited", "restart_policy": "no"}, at(9), None),
        ({"status": "created"}, at(9), "does not run"),
    ],
)
def test_what_is_wrong_with_a_container_shows_in_its_state(changes, now, fault):
    found = replace(STATE, **changes).fault_at(now)

    assert (found is None) == (fault is None)
    assert (fault or "") in (found or "")
