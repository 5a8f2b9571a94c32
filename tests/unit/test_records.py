"""Records: strict in, and out again as they were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

import pytest
from sealift_manifests import records
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import ManifestError


@dataclass(frozen=True)
class Inner:
    digest: Digest


@dataclass(frozen=True)
class Outer:
    name: str
    count: int
    inner: tuple[Inner, ...] = ()
    note: Optional[str] = None  # noqa: UP045 - as Python 3.8 can evaluate it
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("the count is negative")


ONE = digest_of(b"1")
FULL = {
    "name": "n",
    "count": 1,
    "inner": [{"digest": ONE}],
    "note": "x",
    "facts": {"any": [1]},
}


def test_a_record_is_read_and_written_back():
    outer = records.decode(Outer, FULL, "doc")

    assert outer == Outer("n", 1, (Inner(ONE),), "x", {"any": [1]})
    assert records.encode(outer) == FULL


def test_what_equals_its_default_is_left_out():
    assert records.encode(Outer("n", 1)) == {"name": "n", "count": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"more": 1}, "doc has an unknown field 'more'"),
        ({"name": 5}, r"doc\.name must be of type str"),
        ({"count": True}, r"doc\.count must be of type int"),
        ({"count": "1"}, r"doc\.count must be of type int"),
        ({"count": -1}, "doc the count is negative"),
        ({"inner": {}}, r"doc\.inner must be a list"),
        ({"inner": [{}]}, r"doc\.inner\[0\] lacks the field 'digest'"),
        ({"inner": [{"digest": "sha256:1"}]}, r"doc\.inner\[0\]\.digest must be"),
        ({"inner": [{"digest": 1}]}, r"doc\.inner\[0\]\.digest must be"),
        ({"facts": []}, r"doc\.facts must be an object"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change, said):
    with pytest.raises(ManifestError, match=said):
        records.decode(Outer, FULL | change, "doc")


def test_a_missing_field_is_named():
    with pytest.raises(ManifestError, match="doc lacks the field 'count'"):
        records.decode(Outer, {"name": "n"}, "doc")
