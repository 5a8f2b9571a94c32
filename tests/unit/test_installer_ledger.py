"""The ledger: each line bound to the one before."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from sealift_installer.layout import Layout
from sealift_installer.ledger import append, first_broken_line

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path):
    return Layout(str(tmp_path), str(tmp_path / "config"))


def lines(layout: Layout) -> list[bytes]:
    with open(layout.ledger, "rb") as file:
        return file.read().splitlines(keepends=True)


def test_lines_follow_each_other(layout):
    for event in ("install", "audit", "start"):
        append(layout, event, NOW, bundle="b")

    assert first_broken_line(b"".join(lines(layout))) == 0
    assert json.loads(lines(layout)[1])["time"] == "2026-01-02T03:04:05Z"
    assert [json.loads(line)["event"] for line in lines(layout)] == [
        *("install", "audit", "start")
    ]


def test_a_line_that_was_changed_or_taken_out_shows(layout):
    for event in ("install", "audit", "start", "stop"):
        append(layout, event, NOW)
    one, two, three, four = lines(layout)

    assert first_broken_line(one + two.replace(b"audit", b"adieu") + three + four) == 3
    assert first_broken_line(one + three + four) == 2
    assert first_broken_line(two + three + four) == 1
    assert first_broken_line(one + two + b"nonsense\n") == 3
    assert first_broken_line(b"") == 0


def test_a_line_that_a_power_cut_left_unfinished_makes_room(layout):
    append(layout, "install", NOW)
    with open(layout.ledger, "ab") as file:
        file.write(b'{"event":"aud')

    append(layout, "start", NOW)

    assert first_broken_line(b"".join(lines(layout))) == 0
    assert len(lines(layout)) == 2
