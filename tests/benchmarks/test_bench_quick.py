"""The whole benchmark with tiny inputs: every suite, every yardstick, no leftovers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark import models, suite_images, suite_startup
from benchmark.__main__ import SUITES
from benchmark.values import from_json

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
YARDSTICKS = {
    *(models.CP, models.TAR, models.BY_HAND, models.BACK, models.BEST),
    *(models.OF_BUNDLE, models.OF_WEIGHTS, models.WITH_NUMPY),
    *(models.LMZ, models.UNLMZ, models.FERRY, models.CHECK, models.UNFERRY),
    *(suite_images.PULL, suite_images.LOAD, suite_startup.EMPTY),
}
NO_THROTTLE = "left out, a medium held to"
"""Kernels without a throttle for disks, and file systems without a disk."""


def bench(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the benchmark as `scripts/bench` does."""
    places = os.pathsep.join((str(SCRIPTS), str(SCRIPTS.parent / "tests")))
    return subprocess.run(
        [sys.executable, "-m", "benchmark", *map(str, words)],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
    )


@pytest.mark.docker
@pytest.mark.slow
def test_a_quick_run_measures_ours_by_every_yardstick_and_leaves_nothing(tmp_path):
    keep, work = tmp_path / "keep", tmp_path / "work"

    ended = bench("--quick", "--keep", keep, "--work", work)

    assert ended.returncode == 0, ended.stderr
    (raw,) = keep.glob("*.json")
    _, results = from_json(json.loads(raw.read_text()))
    assert {result.suite for result in results} == set(SUITES)
    measured = {name for result in results for name in result.runs}
    assert measured >= YARDSTICKS
    notes = [note for result in results for note in result.notes]
    left_out = [note for note in notes if note.startswith("left out")]
    assert all(note.startswith(NO_THROTTLE) for note in left_out), left_out
    assert left_out or models.CP_HELD in measured
    assert {path.name for path in work.rglob("*")} <= {"work", "lock"}
    assert "<= 0.4" in ended.stdout and str(raw) in ended.stdout
    assert_documents(tmp_path, raw)


def assert_documents(folder: Path, raw: Path) -> None:
    """Assert that all tables can be written from raw numbers into a document."""
    document = folder / "document.md"
    forms = ("markdown", "short", "plan")
    marks = (f"<!-- bench {f} -->\n<!-- end of bench {f} -->\n" for f in forms)
    document.write_text("".join(marks))
    for form in forms:
        bench("--report", form, raw, "--into", document).check_returncode()
    text = document.read_text()
    assert "### model: bf16" in text
    assert "| 2 TB | NVMe" in text


def test_a_suite_that_does_not_exist_is_refused():
    ended = bench("modle")

    assert ended.returncode == 2
    assert "no such suite: modle" in ended.stderr


def test_a_plan_without_what_it_needs_says_so(tmp_path):
    raw = tmp_path / "raw.json"
    raw.write_text(json.dumps({"about": {"machine": "2 cores"}, "results": []}))

    ended = bench("--plan", raw)

    assert ended.returncode == 2
    assert "lack the suites model, scaling, startup" in ended.stderr
    assert "Traceback" not in ended.stderr
