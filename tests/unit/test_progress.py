"""Progress tells bytes, rate, time left and what is in work, each way it is shown."""

from __future__ import annotations

import json
import os
import pty
import sys
import termios
import threading
import time

import pytest
from sealift_bundler import progress
from sealift_bundler.progress import Meter, Pace, PlainDisplay, State, plain_line, span
from sealift_bundler.report import Report, Style
from sealift_manifests.index import Pack

MIB = 1 << 20


class Shown:
    """A display that remembers."""

    def __init__(self) -> None:
        self.states: list[tuple[str, State]] = []

    def show(self, state: State, event: str) -> None:
        self.states.append((event, state))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that tests move; its time is the last number."""
    times = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: times[-1])
    return times


def test_the_rate_is_that_of_the_last_half_minute():
    pace = Pace(0)
    done = 0
    for second in range(1, 101):
        done += 500 * MIB if second <= 60 else 100 * MIB
        pace.note(second, done)

    assert pace.rate(100, done) == pytest.approx(100 * MIB, rel=0.01)


def test_before_time_has_passed_there_is_no_rate_and_no_time_left(clock):
    shown = Shown()

    with Meter("packing", 100, shown).running():
        pass

    assert [(event, s.rate, s.left) for event, s in shown.states] == [
        ("begin", 0.0, None),
        ("end", 0.0, None),
    ]


def test_a_meter_tells_what_is_in_work_as_long_as_it_is(clock):
    shown = Shown()

    with Meter("packing", 100, shown).running() as meter:
        with meter.item("model a: x"):
            clock.append(1002.0)
            meter(40)
            with meter.item("model a: y"):
                meter(20)
        meter(40)

    assert [state.item for _, state in shown.states] == [
        *("", "model a: x", "model a: x and 1 more", "", ""),
    ]
    assert [state.done for _, state in shown.states] == [0, 40, 60, 100, 100]
    assert shown.states[1][1].left == 3.0


def test_many_threads_may_tell_a_meter_at_once():
    shown = Shown()
    meter = Meter("fetching", 4000, shown)

    def fetch(name: str) -> None:
        with meter.item(name):
            for _ in range(1000):
                meter(1)

    threads = [threading.Thread(target=fetch, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [state.done for _, state in shown.states] == list(range(1, 4001))


def test_a_log_gets_whole_lines_and_none_for_what_is_done_soon(clock):
    said: list[str] = []

    meter = Meter("packing", 400 * MIB, PlainDisplay(said.append))
    with meter.running(), meter.item("model chat: a.safetensors"):
        for _ in range(21):
            clock.append(clock[-1] + 1)
            meter(10 * MIB)

    assert said == [
        "packing: 100.0 MiB of 400.0 MiB, 10.0 MiB/s, 30 s left, "
        "model chat: a.safetensors",
        "packing: 200.0 MiB of 400.0 MiB, 10.0 MiB/s, 20 s left, "
        "model chat: a.safetensors",
    ]


def test_what_cannot_be_told_is_left_out_of_a_line():
    assert plain_line(State("packing", "", 0, 10, 0.0, None)) == "packing: 0 B of 10 B"
    # An image in the engine may turn out larger than the engine said.
    assert plain_line(State("packing", "", 12, 10, 1.0, -2.0)) == (
        "packing: 12 B of 10 B"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (99, "99 s"), (130, "2 min"), (3569, "59 min")),
        *((3600, "1 h 0 min"), (7790, "2 h 10 min"), (3599, "1 h 0 min")),
    ],
)
def test_times_are_told_as_people_do(seconds, text):
    assert span(seconds) == text


def test_json_lines_have_the_fields_that_are_promised(capsys, clock):
    report = Report(style=Style.JSON)

    report.step("image web is abc", kept=7)
    with report.progress("packing", 300) as meter, meter.item("model a: x"):
        for _ in range(4):
            clock.append(clock[-1] + 0.5)
            meter(50)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        {"event": "step", "text": "image web is abc", "kept": 7},
        facts("begin", "", 0, 0, None),
        facts("progress", "model a: x", 100, 100, 2),
        facts("progress", "model a: x", 200, 100, 1),
        facts("end", "", 200, 100, 1),
    ]


def facts(event: str, item: str, done: int, rate: int, left: int | None) -> dict:
    """Return what a JSON line says."""
    state = {"task": "packing", "item": item, "done": done, "total": 300}
    return {"event": event, **state, "rate": rate, "left": left}


def test_quiet_says_nothing(capsys):
    for style in Style:
        report = Report(quiet=True, style=style)
        report.step("a step")
        with report.progress("packing", 1) as meter:
            meter(1)

    assert capsys.readouterr().err == ""


def test_a_terminal_shows_a_bar_with_what_is_in_work(monkeypatch):
    leader, follower = pty.openpty()
    termios.tcsetwinsize(leader, (24, 120))
    name = "model chat: a-long-name-of-a-file.safetensors"
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Report().progress("packing", 2 * MIB) as meter, meter.item(name):
            time.sleep(0.25)
            meter(MIB)
        Report().step("a step between")
        terminal.flush()
        shown = ""
        while "a step between" not in shown:
            shown += os.read(leader, 65536).decode()
    os.close(leader)

    assert "packing:" in shown
    assert "1.00M/2.00M" in shown
    assert "B/s, ...ng-name-of-a-file.safetensors]" in shown


def test_reading_back_says_which_pack_is_read():
    from sealift_bundler.readback import _ByPack

    shown = Shown()
    read = _ByPack(Meter("reading back", 30, shown), (Pack("a", 20), Pack("b", 10)))

    for _ in range(6):
        read(5)

    assert [state.item for _, state in shown.states] == [*"aaaa", *"bb"]
