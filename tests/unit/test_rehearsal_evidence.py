"""What a rehearsal may claim, and under which conditions it was shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sealift_bundler.rehearsal.run import require_well
from sealift_bundler.rehearsal.unsigned import evidence_of
from sealift_bundler.rehearsal.values import (
    RehearsalOptions,
    Rehearsed,
    dump_evidence,
    parse_evidence,
)
from sealift_manifests.errors import RehearsalError

BEGAN = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
WELL = {"services": {"llm": "running"}, "causes": [], "engine_error": None}


def evidence(done: Rehearsed, **options: object):
    return evidence_of(b"{}", BEGAN, RehearsalOptions(**options), done)


def test_settings_and_accepted_fails_are_part_of_what_is_signed():
    done = Rehearsed(
        *({"llm": "running"}, (), 4.2, "28.0"), accepted=frozenset({"driver-old"})
    )

    shown = evidence(done, accept=["driver-old", "disk-slow"], given=["B=x=1", "A=2"])

    again = parse_evidence(dump_evidence(shown))
    assert [(each.name, each.value) for each in again.settings] == [
        ("A", "2"),
        ("B", "x=1"),
    ]
    assert again.accepted == ("driver-old",)
    assert "with A=2 B=x=1, accepted: driver-old" in str(again)


def test_evidence_without_any_has_no_word_of_them():
    data = dump_evidence(evidence(Rehearsed({"llm": "running"}, (), 4.2, "28.0")))

    assert b"settings" not in data
    assert b"accepted" not in data


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"causes": [{"service": "llm", "fault": "it has ended"}]}, "llm: it has"),
        ({"engine_error": "no answer"}, "not known any more: no answer"),
    ],
)
def test_a_service_that_fails_while_it_is_looked_on_fails_the_rehearsal(now, told):
    require_well(WELL)

    with pytest.raises(RehearsalError) as caught:
        require_well({**WELL, **now})

    assert told in caught.value.message
