"""Run cases in rounds: ours and the yardsticks take turns, from the same start."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .meter import CommandError, drop_cache, measure
from .values import Case, Cases, Result, Say


def run_rounds(
    result: Result, cases: Cases, rounds: int, say: Say, *, warm: bool = False
) -> None:
    """Measure every case once in each round, and note what had to be left out.

    Raises CommandError when one of ours fails.
    """
    failed: set[str] = set()
    for number in range(rounds):
        say(f"{result.title}: round {number + 1} of {rounds}")
        for case in cases():
            if (case.seldom and number) or {case.name, case.needs} & failed:
                _remove(*case.ends)
                continue
            try:
                run_once(result, case, say, warm=warm)
            except CommandError as error:
                if not case.optional:
                    raise
                failed.add(case.name)
                _remove(case.writes)
                reason = str(error).splitlines()[-1]
                result.notes.append(f"left out, for it failed: {case.name} ({reason})")
                say(f"  {result.notes[-1]}")


def run_once(result: Result, case: Case, say: Say, *, warm: bool = False) -> None:
    """Measure one case and add it to the result."""
    _remove(case.writes)
    case.writes.mkdir(parents=True)
    if case.before:
        case.before()
    if not warm:
        for folder in case.reads:
            drop_cache(folder)
    os.sync()
    run = measure(case.command, case.writes)
    _remove(*case.ends, *(() if case.keeps else (case.writes,)))
    result.runs.setdefault(case.name, []).append(run)
    say(f"  {case.name}: {run.wall:.2f} s")


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
