"""What goes to an engine passes in the order of the media, and is measured."""

from __future__ import annotations

import pytest
from sealift_installer.passing import by_rank, measured
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import DigestMismatchError


def test_what_is_at_hand_passes_first_and_each_medium_is_asked_for_once():
    medium = {"in the slot": 1}
    where = {"a": 2, "b": 1, "c": 2, "d": 1, "e": 3}
    asked = []

    def rank(item: str) -> int:
        return 0 if where[item] == medium["in the slot"] else where[item]

    for item in by_rank(where, rank):
        if where[item] != medium["in the slot"]:
            medium["in the slot"] = where[item]
        asked.append(item)

    assert asked == ["b", "d", "a", "c", "e"]


def test_many_things_pass_without_asking_for_every_rank_each_time():
    asked = 0

    def rank(item: int) -> int:
        nonlocal asked
        asked += 1
        return item % 3

    passed = list(by_rank(range(3000), rank))

    assert sorted(passed) == list(range(3000))
    assert [item % 3 for item in passed] == [0] * 1000 + [1] * 1000 + [2] * 1000
    assert asked <= 6 * 3000


@pytest.mark.parametrize("pieces", [[b"abc"], [b"a", b"b", b"cd"], [b"a", b"b", b"x"]])
def test_other_bytes_are_told_at_the_end_and_no_more_pass(pieces):
    passed = bytearray()

    with pytest.raises(DigestMismatchError, match="it is not what was signed"):
        for piece in measured("it", digest_of(b"abcd"[:3] + b"!"), 4, iter(pieces)):
            passed += piece

    assert len(passed) <= 4


def test_good_bytes_pass_as_they_are():
    pieces = [b"ab", b"", b"cd"]

    assert list(measured("it", digest_of(b"abcd"), 4, iter(pieces))) == pieces
