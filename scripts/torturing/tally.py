"""What a torture came to, counted by phase, and the table of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random


@dataclass(frozen=True)
class Task:
    """What a side is asked for: so many kills, with this chance, in this folder."""

    kills: int
    random: Random
    work: Path
    say: Callable[[str], None]


@dataclass
class Tally:
    """Counts of one side. `torn` says in words what was found wrong: must be empty.

    `finished` runs came to their end after kills; `resumed` bytes were not done again.
    """

    side: str
    phases: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    resumed: int = 0
    torn: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """How many runs were killed."""
        return self.phases.total()

    def lines(self) -> Iterator[str]:
        """Yield the table."""
        yield f"{self.side}: {self.kills} kills in {self.seconds:.0f} s"
        for phase, count in self.phases.items():
            yield f"  killed in {phase:<24} {count:>6}"
        yield f"  runs that came to the end          {self.finished:>6}"
        yield f"  resumed, MiB                       {self.resumed / 2**20:>6.0f}"
        yield f"  torn states                        {len(self.torn):>6}"
        yield from (f"    {what}" for what in self.torn)
