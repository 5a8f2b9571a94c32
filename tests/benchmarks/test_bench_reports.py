"""What the benchmark makes of its numbers: ratios, verdicts, tables, documents."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmark import kept, report
from benchmark.__main__ import SUITES
from benchmark.amdahl import Scaling, fitted
from benchmark.plan import NotMeasuredError, rates_of, sheet, span
from benchmark.values import Judged, Result, Run, from_json, to_json

DOCUMENT = Path(__file__).resolve().parents[2] / "scripts/BENCHMARKS.md"
GB = 10**9
RUN = Run(2.0, 3.0, 100 << 20, GB, GB, GB, GB + GB // 2, GB)
ABOUT = {"machine": "2 cores (a processor), 24 GiB"}


def took(*seconds: float) -> list[Run]:
    return [replace(RUN, wall=each) for each in seconds]


def a_result(**runs: list[Run]) -> Result:
    return Result("model", "bf16, 1.000 GiB", GB, dict(runs))


def test_ratios_are_taken_round_by_round_and_the_median_is_judged():
    result = a_result(ours=took(1, 9, 2), theirs=took(2, 3, 2))

    result.compare("ours", "theirs", 1.0)

    (judged,) = result.judged
    assert judged.values == (0.5, 3.0, 1.0)
    assert judged.verdict == "pass"
    assert replace(judged, aim=0.9).verdict == "MISS"


def test_a_yardstick_that_ran_less_often_is_compared_with_its_own_rounds():
    result = a_result(ours=took(4, 100, 100), seldom=took(2))

    result.compare("ours", "seldom")

    assert result.judged[0].values == (2.0,)


def test_what_was_left_out_is_not_judged():
    result = a_result(ours=took(1))

    result.compare("ours", "theirs", 1.0)

    assert result.judged == []


def test_speed_is_judged_from_below():
    assert Judged("speed", (11.0,), aim=10.0, at_least=True).verdict == "pass"
    assert Judged("speed", (9.0,), aim=10.0, at_least=True).verdict == "MISS"
    assert Judged("speed", (9.0,)).verdict == ""


def test_raw_numbers_say_all_again():
    result = a_result(ours=took(1, 2), theirs=took(2, 2))
    result.compare("ours", "theirs", 1.0)
    result.judge("memory", 7.0, unit="MiB", aim=8.0)
    result.notes.append("a note")
    result.figures["stored"] = 0.5

    text = json.dumps(to_json(ABOUT, [result]))

    assert from_json(json.loads(text)) == (ABOUT, [result])


def test_a_table_tells_the_verdict_and_what_was_compared_with_what():
    result = a_result(ours=took(1, 2), theirs=took(2, 2))
    result.compare("ours", "theirs", 0.4)

    lines = list(report.as_text(ABOUT, [result]))

    (line,) = (line for line in lines if line.startswith("ours / (theirs)"))
    assert " ".join(line.split()[3:]) == "0.750 0.500 - 1.000 <= 0.4 MISS 1.000"
    (row,) = (line for line in lines if line.startswith("theirs"))
    sizes = "100 1.00 1.00 1.00 1.00 0.50"
    assert " ".join(row.split()[1:]) == f"2.00 2.00 - 2.00 3.00 {sizes}"


def test_markdown_keeps_pipelines_in_their_cells():
    result = a_result(ours=took(1), **{"tar | zstd": took(1)})
    result.compare("ours", "tar | zstd", 1.0)

    lines = list(report.as_markdown(ABOUT, [result]))

    assert "| ours / (tar \\| zstd) | 1.000 |  | <= 1 | pass | 1.000 |" in lines


def test_the_short_table_has_only_what_has_an_aim():
    result = a_result()
    result.judge("judged", 1.0, aim=2.0)
    result.judge("only told", 1.0)

    _, _, *rows = report.as_short([result])

    assert rows == ["| judged (bf16, 1.000 GiB) | 1.000 | <= 2 | pass |"]


def test_tables_go_between_the_marks_of_a_document_again_and_again():
    empty = "a\n<!-- bench plan -->\n<!-- end of bench plan -->\nz\n"

    once = kept.placed(empty, "plan", "one")
    twice = kept.placed(once, "plan", "two")

    assert once == "a\n<!-- bench plan -->\none\n<!-- end of bench plan -->\nz\n"
    assert twice == once.replace("one", "two")
    with pytest.raises(SystemExit, match="bench short"):
        kept.placed(empty, "short", "one")


def test_the_document_has_a_row_for_each_suite_and_a_place_for_each_table():
    text = DOCUMENT.read_text()

    assert [name for name in SUITES if f"| `{name}` |" not in text] == []
    for form in ("markdown", "plan", "short"):
        assert "a table" in kept.placed(text, form, "a table")


@pytest.mark.parametrize("law", [Scaling(0.2, 1.6), Scaling(0.0, 1.0), Scaling(1.0, 0)])
def test_the_law_that_was_followed_is_found(law):
    found = fitted([(n, law.seconds(n)) for n in (1, 2, 4)])

    assert found.serial == pytest.approx(law.serial)
    assert found.shared == pytest.approx(law.shared)


def test_no_part_of_the_work_takes_less_than_nothing():
    noisy = fitted([(1, 3.0), (2, 1.0)])

    assert noisy.serial == 0
    assert noisy.shared > 0


def test_a_chain_holds_up_any_number_of_cores():
    law = Scaling(0.1, 2.0, chain=0.5)

    assert law.seconds(1) == 2.1
    assert law.seconds(64) == 0.5
    assert "SHA-256" in law.bound


def test_a_plan_takes_the_slowest_of_medium_disk_and_cores():
    rates = rates_of(ABOUT, [*planned()])
    mb = 10**6

    assert rates.seconds("install", GB, 1 * mb, 500 * mb) == pytest.approx(500)
    assert rates.seconds("install", GB, 10**6 * mb, 100 * mb) == pytest.approx(10)
    assert rates.seconds("install", GB, 10**6 * mb, 10**6 * mb) == pytest.approx(1.5)


def test_a_planning_sheet_has_every_size_and_every_place():
    lines = [line for line in sheet(ABOUT, [*planned()]) if line.startswith("| 2 TB")]

    assert lines[0].startswith(
        "| 2 TB | 1000 GB | 234 | 64.0 MB | 500 MiB | 17 | 5 | 2 |"
    )
    assert len(lines) == 4


def test_a_plan_names_the_suites_that_it_lacks():
    model, *_ = planned()

    with pytest.raises(NotMeasuredError, match="the suites scaling, startup"):
        rates_of(ABOUT, [model])


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (700, "12 min"), (7500, "2 h 05 min")]
)
def test_times_of_a_plan_are_for_people(seconds, text):
    assert span(seconds) == text


def planned() -> list[Result]:
    """Return what a plan needs: half the size, one second serial, one shared by two."""
    steps = ("build", "verify", "install", "audit")
    model = a_result(**{name: took(1) for name in steps})
    model.figures = {"stored": GB / 2}
    scaling = Result("scaling", "in memory", GB)
    for name in steps:
        scaling.figures |= {f"{name} serial": 1.0, f"{name} shared": 1.0}
        scaling.figures[f"{name} chain"] = 0.0
    huge = Result("startup", "2 TB", GB)
    huge.figures = {"bytes": 2000 * GB, "index": 64 * 10**6, "open memory": 400 << 20}
    return [model, scaling, huge]
