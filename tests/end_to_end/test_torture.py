"""The torture in its short form; `scripts/torture N` is the long one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import making
import pytest

TORTURE = Path(__file__).resolve().parents[2] / "scripts" / "torturing"


def tortured(folder: Path, side: str, kills: int) -> making.Outcome:
    """Kill one side some times."""
    words = [str(kills), side, "--seed", "1", "--work", folder]
    return making.run([sys.executable, TORTURE, *words])


def test_builds_that_are_killed_end_in_the_bundle_of_a_calm_one(tmp_path):
    outcome = tortured(tmp_path, "build", 10).expect(0)

    assert "build: 10 kills in" in outcome.out
    assert re.search(r"torn states +0\n", outcome.out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.docker
def test_installs_that_are_killed_leave_the_old_or_the_new_and_can_be_finished(
    tmp_path,
):
    outcome = tortured(tmp_path, "install", 8).expect(0)

    assert "install: 8 kills in" in outcome.out
    assert re.search(r"torn states +0\n", outcome.out)
    assert list(tmp_path.iterdir()) == []
