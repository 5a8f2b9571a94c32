"""What a benchmark holds: cases, what they took, what that comes to. No IO.

All of it goes to JSON and comes back, so that every table can be written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What a command took: seconds, and bytes.

    `memory` is the peak of the sum over its processes. `read` and `written` are what
    they asked the kernel for, pipes included; `from_disk` is what the kernel had to
    fetch. `most_disk` and `disk` are what lay below the watched directory at most and
    at the end.
    """

    wall: float
    cpu: float
    memory: int
    read: int
    written: int
    from_disk: int
    most_disk: int
    disk: int


@dataclass(frozen=True)
class Case:
    """A command to measure.

    What lies in `writes` is removed before each run, and after it unless it `keeps`
    it; `ends` are other directories that nobody needs after it. The bytes of `reads`
    are not in memory when it starts. `before` is done first and not measured. One that
    is `seldom` runs in the first round only. A yardstick may be `optional`: when it
    fails, and when what it `needs` has failed, it is left out.
    """

    name: str
    command: Sequence[str]
    writes: Path
    reads: Sequence[Path] = ()
    keeps: bool = False
    ends: Sequence[Path] = ()
    before: Callable[[], None] | None = None
    seldom: bool = False
    optional: bool = False
    needs: str = ""


Cases = Callable[[], Iterator[Case]]
"""Yields the cases of a round; each is asked for when the one before it has ended."""


@dataclass(frozen=True)
class Judged:
    """Something that was measured, once in each round, and what was aimed at.

    The median decides. `cpu` is the same ratio for seconds of processor time.
    """

    title: str
    values: tuple[float, ...]
    unit: str = "x"
    aim: float | None = None
    at_least: bool = False
    cpu: tuple[float, ...] = ()

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """`pass`, `MISS`, or nothing where there is no aim."""
        if self.aim is None:
            return ""
        good = self.middle >= self.aim if self.at_least else self.middle <= self.aim
        return "pass" if good else "MISS"


@dataclass
class Result:
    """What a suite has measured.

    `plain` is the number of bytes it was measured on, 0 where they do not matter.
    `figures` are numbers that other tables are made from, by name.
    """

    suite: str
    title: str
    plain: int
    runs: dict[str, list[Run]] = field(default_factory=dict)
    judged: list[Judged] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        """Say whether all these cases were measured."""
        return all(self.runs.get(name) for name in names)

    def middle(self, name: str, what: str = "wall") -> float:
        """Return the median of what a case took."""
        return float(median(getattr(run, what) for run in self.runs[name]))

    def compare(
        self,
        ours: str,
        yardstick: str,
        aim: float | None = None,
        *,
        at_least: bool = False,
    ) -> None:
        """Judge the time of a case by that of its yardstick, if both were measured.

        Divided round by round: both runs of a round saw the same machine.
        """
        if self.has(ours, yardstick):
            wall = self.ratios(ours, yardstick, "wall")
            cpu = self.ratios(ours, yardstick, "cpu")
            title = f"{ours} / ({yardstick})"
            self.judged.append(Judged(title, wall, "x", aim, at_least, cpu))

    def ratios(self, ours: str, yardstick: str, what: str) -> tuple[float, ...]:
        """Divide what two cases took, round by round."""
        # A yardstick that ran less often than ours is compared with its own rounds.
        pairs = zip(self.runs[ours], self.runs[yardstick], strict=False)
        return tuple(getattr(a, what) / max(getattr(b, what), 1e-9) for a, b in pairs)

    def judge(self, title: str, *values: float, **rest: Any) -> None:
        """Add something that was measured."""
        self.judged.append(Judged(title, tuple(values), **rest))


def to_json(about: Mapping[str, str], results: Sequence[Result]) -> dict[str, Any]:
    """Return what is kept of a run of the benchmark."""
    return {"about": dict(about), "results": [asdict(result) for result in results]}


def from_json(value: Mapping[str, Any]) -> tuple[dict[str, str], list[Result]]:
    """Return machine and results that were kept."""
    return dict(value["about"]), [_result(each) for each in value["results"]]


def _result(value: Mapping[str, Any]) -> Result:
    runs = {k: [Run(**run) for run in runs] for k, runs in value["runs"].items()}
    judged = [
        Judged(**{**each, "values": tuple(each["values"]), "cpu": tuple(each["cpu"])})
        for each in value["judged"]
    ]
    return Result(**{**value, "runs": runs, "judged": judged})
