"""How the benchmark measures: whole process trees, in rounds, from a clean start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import making
import pytest
from benchmark.meter import CommandError, measure
from benchmark.rounds import run_rounds
from benchmark.suite_scaling import core_steps, on_cores
from benchmark.throttle import Throttle
from benchmark.tools import shell
from benchmark.values import Case, Result

MIB = 1 << 20
TAKE = "import time; kept = bytearray(b'x') * (40 << 20); time.sleep(0.7)"


def test_memory_is_that_of_all_processes_of_a_command_together(tmp_path):
    one = f'{sys.executable} -I -S -c "{TAKE}"'

    run = measure(shell(tmp_path, f"{one} & {one} & wait"), tmp_path)

    assert 80 * MIB < run.memory < 140 * MIB


def test_bytes_are_counted_once_for_each_time_they_are_moved(tmp_path):
    (tmp_path / "in").write_bytes(bytes(4 * MIB))

    run = measure(shell(tmp_path, "cat in in >out"), tmp_path)

    assert run.read == pytest.approx(8 * MIB, rel=0.05)
    assert run.written == pytest.approx(8 * MIB, rel=0.05)


def test_disk_space_that_was_given_back_is_seen(tmp_path):
    lines = ("head -c 4M /dev/urandom >gone", "sleep 0.4", "rm gone", "echo a >left")

    run = measure(shell(tmp_path, *lines), tmp_path)

    assert run.most_disk >= 4 * MIB > run.disk > 0


def test_a_command_that_fails_says_what_it_said(tmp_path):
    with pytest.raises(CommandError, match="ended with 3:\nno such luck"):
        measure(shell(tmp_path, "echo no such luck", "exit 3"), tmp_path)


class Bench:
    """Commands that note in a file, which stays, in what order they ran."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran = root / "ran"
        self.result = Result("a suite", "something", 1)
        self.said: list[str] = []

    def case(self, name: str, line: str = "true", **rest: object) -> Case:
        command = shell(self.root / "out", f"echo {name} >>{self.ran}", line)
        return Case(name, command, self.root / "out", **rest)  # type: ignore[arg-type]

    def run(self, *cases: Case, rounds: int = 2) -> list[str]:
        def each() -> Iterator[Case]:
            yield from cases

        run_rounds(self.result, each, rounds, self.said.append)
        return self.ran.read_text().split()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_commands_take_turns_in_every_round(bench):
    order = bench.run(bench.case("ours"), bench.case("theirs"))

    assert order == ["ours", "theirs"] * 2
    assert [len(runs) for runs in bench.result.runs.values()] == [2, 2]


def test_what_is_slow_runs_in_the_first_round_only(bench):
    order = bench.run(bench.case("ours"), bench.case("slow", seldom=True))

    assert order == ["ours", "slow", "ours"]


def test_every_run_begins_in_an_empty_directory_and_leaves_none(bench):
    bench.run(bench.case("ours", '[ -z "$(ls)" ]; touch something'))

    assert not (bench.root / "out").exists()


def test_what_the_next_command_needs_is_kept_until_then(bench):
    out = bench.root / "out"
    reader = Case(
        "reader", ["test", "-e", f"{out}/made"], bench.root / "none", ends=[out]
    )

    bench.run(bench.case("writer", "touch made", keeps=True), reader)

    assert not out.exists()


def test_a_yardstick_that_fails_is_left_out_with_what_needs_it(bench):
    fails = bench.case("fails", "echo because; false", optional=True)
    after = bench.case("after", optional=True, needs="fails")

    order = bench.run(fails, after, bench.case("ours"))

    assert order == ["fails", "ours", "ours"]
    assert bench.result.notes == ["left out, for it failed: fails (because)"]
    assert list(bench.result.runs) == ["ours"]


def test_ours_must_not_fail(bench):
    with pytest.raises(CommandError):
        bench.run(bench.case("ours", "false"))


def test_a_throttle_is_entered_before_the_command_begins(tmp_path):
    throttle = Throttle(tmp_path, "a file in place of the kernel")

    said = tmp_path / "said"
    words = ["sh", "-c", 'echo $$ "$2" >"$1"', "sh", str(said), "a b"]
    measure(throttle.wrap(words), tmp_path)

    pid = (tmp_path / "cgroup.procs").read_text().strip()
    assert said.read_text() == f"{pid} a b\n"


@pytest.mark.parametrize(
    ("cores", "steps"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_cores_are_doubled_until_all_are_used(cores, steps):
    assert core_steps(cores) == steps


def test_a_command_is_held_to_some_cores(tmp_path):
    case = Case("ours", ["nproc"], tmp_path)

    held = on_cores(case, 1)

    assert held.name == "ours on 1 core"
    assert making.run(held.command).expect(0).out == "1\n"
