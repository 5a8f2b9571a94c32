"""An index that leaves chunks out: what it must say, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import FormatVersionError, ManifestError
from sealift_manifests.index import dump_index, parse_index
from sealift_manifests.model import parse_manifest

ONE, TWO = digest_of(b"one"), digest_of(b"two")
BASE = {"name": "acme", "version": "1", "serial": 1, "root": digest_of(b"root")}


def a_delta() -> dict[str, Any]:
    """Return the value of an index with one stored chunk and one left out."""
    return {
        "format": 1,
        "features": ["base"],
        "bases": [dict(BASE)],
        "packs": [{"name": "a.pack", "size": 3}],
        "chunks": [
            {"codec": "raw", "digest": ONE, "offset": 0, "pack": 0, "size": 3},
            {"codec": "base", "digest": TWO, "size": 3},
        ],
        "contents": [
            {"digest": ONE, "size": 3, "chunks": [0]},
            {"digest": TWO, "size": 3, "chunks": [1]},
            {"digest": digest_of(b"onetwo"), "size": 6, "chunks": [0, 1]},
        ],
    }


def parsed(value: dict[str, Any]) -> Any:
    return parse_index(json.dumps(value).encode())


def test_a_chunk_that_is_left_out_has_a_digest_and_a_size_and_no_place():
    index = parsed(a_delta())

    stored, left = index.chunks
    assert (stored.is_base, left.is_base) == (False, True)
    assert (left.digest, left.size, left.stored_size) == (TWO, 3, 0)
    assert str(index.bases[0]) == f"acme 1 (serial 1, root {BASE['root']})"
    assert parse_index(dump_index(index)) == index


def test_the_largest_chunk_may_be_left_out():
    value = a_delta()
    resized(value, 8 << 20)

    assert parsed(value).chunks[1].size == 8 << 20


def test_a_delta_may_store_nothing_at_all():
    value = a_delta()
    value["packs"] = []
    value["chunks"] = [{"codec": "base", "digest": d, "size": 3} for d in (ONE, TWO)]

    assert all(chunk.is_base for chunk in parsed(value).chunks)


def turned_round(value: dict[str, Any]) -> None:
    value["chunks"].reverse()
    for content in value["contents"]:
        content["chunks"] = [1 - number for number in content["chunks"]]


def resized(value: dict[str, Any], size: int) -> None:
    """Give the chunk that is left out another size, and say so wherever it counts."""
    value["chunks"][1]["size"] = size
    for content in value["contents"][1:]:
        content["size"] += size - 3


def without_what_is_left_out(value: dict[str, Any]) -> None:
    del value["chunks"][1], value["contents"][1:]


WRONGS: dict[str, Callable[[dict[str, Any]], object]] = {
    "bases without the feature": lambda v: v.pop("features"),
    "left out without feature or base": lambda v: (v.pop("features"), v.pop("bases")),
    "feature without bases": lambda v: v.pop("bases"),
    "an empty list of bases": lambda v: v.update(bases=[]),
    "bases are no list": lambda v: v.update(bases=BASE),
    "a base twice": lambda v: v.update(bases=[BASE, BASE]),
    "a base without its root": lambda v: v["bases"][0].pop("root"),
    "a base with another field": lambda v: v["bases"][0].update(note="x"),
    "a root that is none": lambda v: v["bases"][0].update(root="sha256:0"),
    "a name that is none": lambda v: v["bases"][0].update(name="\x1b[2J"),
    "a version that is none": lambda v: v["bases"][0].update(version="1\n2"),
    "a serial that is none": lambda v: v["bases"][0].update(serial=0),
    "a serial of another type": lambda v: v["bases"][0].update(serial=True),
    "nothing is left out": without_what_is_left_out,
    "nothing is left out for no base": lambda v: (
        without_what_is_left_out(v),
        v.update(bases=[]),
    ),
    "a stored chunk after one left out": turned_round,
    "a place for what is left out": lambda v: v["chunks"][1].update(pack=0, offset=3),
    "stored bytes of what is left out": lambda v: v["chunks"][1].update(stored_size=3),
    "an empty chunk is left out": lambda v: resized(v, 0),
    "a huge chunk is left out": lambda v: resized(v, (8 << 20) + 1),
    "the same chunk stored and left out": lambda v: v["chunks"][1].update(digest=ONE),
    "a digest that is not its content's": lambda v: v["chunks"][1].update(
        digest=digest_of(b"lie")
    ),
    "a size that is not its content's": lambda v: v["chunks"][1].update(size=4),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_an_index_that_does_not_hang_together_is_refused(wrong):
    value = a_delta()
    WRONGS[wrong](value)

    with pytest.raises(ManifestError):
        parsed(value)


def test_a_reader_of_before_is_told_that_a_newer_one_is_needed():
    value = a_delta() | {"features": ["base", "of-tomorrow"]}

    with pytest.raises(FormatVersionError, match="of-tomorrow"):
        parsed(value)


def test_a_manifest_has_no_such_feature():
    value = {"format": 1, "features": ["base"]}

    with pytest.raises(FormatVersionError, match="base"):
        parse_manifest(json.dumps(value).encode())
