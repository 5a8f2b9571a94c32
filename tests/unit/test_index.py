"""The index: a version of its own, and places that leave no byte uncovered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sealift_manifests.errors import FormatVersionError, ManifestError
from sealift_manifests.index import dump_index, parse_index
from sealift_manifests.model import dump_manifest, parse_manifest

GOLDEN = Path(__file__).resolve().parents[1] / "golden/bundle-v1"
PARSERS = {"index.json": parse_index, "manifest.json": parse_manifest}


def changed(name: str, **fields: object) -> bytes:
    return json.dumps(json.loads((GOLDEN / name).read_bytes()) | fields).encode()


@pytest.mark.parametrize("name", PARSERS)
def test_another_format_is_refused_before_its_fields_are_looked_at(name):
    with pytest.raises(FormatVersionError, match="format 2"):
        PARSERS[name](changed(name, format=2, what_is_this=1))
    with pytest.raises(FormatVersionError, match="sparse-packs"):
        PARSERS[name](changed(name, features=["sparse-packs"], what_is_this=1))


@pytest.mark.parametrize("name", PARSERS)
def test_an_unknown_field_in_a_known_format_is_refused(name):
    with pytest.raises(ManifestError, match="what_is_this"):
        PARSERS[name](changed(name, what_is_this=1))


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b'{"format": "1"}'])
def test_what_is_no_such_document_is_refused(name, data):
    with pytest.raises(ManifestError):
        PARSERS[name](data)


def test_the_chunks_cover_every_byte_of_every_pack():
    index = parse_index((GOLDEN / "index.json").read_bytes())

    covered = [
        b for c in index.chunks for b in range(c.offset, c.offset + c.stored_size)
    ]

    assert covered == list(range((GOLDEN / "data-0001.pack").stat().st_size))


def test_each_chunk_has_a_line_of_its_own_so_that_people_can_read_it():
    data = dump_index(parse_index((GOLDEN / "index.json").read_bytes()))
    lines = data.decode("ascii").splitlines()

    assert sum(line.startswith('{"codec"') for line in lines) == 14
    assert dump_manifest(
        parse_manifest((GOLDEN / "manifest.json").read_bytes())
    ).isascii()
