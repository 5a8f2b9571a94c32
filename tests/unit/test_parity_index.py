"""Parity in the index: what it may say, and what is refused before it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from protected import protect
from sealift_bundler.commands.plan import parity_bound
from sealift_bundler.parity import Ratio, column_width
from sealift_manifests.errors import FormatVersionError, ManifestError, UsageError
from sealift_manifests.index import dump_index, parse_index
from sealift_manifests.model import parse_manifest

Change = Callable[[dict[str, Any]], object]
GOLDEN = Path(__file__).resolve().parents[1] / "golden/bundle-v1"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An index of three packs in two groups, with two parity files each."""
    packs = [[20, 5], [30], [10, 10]]
    made = protect(tmp_path_factory.mktemp("packs"), packs, Ratio(2, 2))
    return dump_index(made.index)


def test_what_is_written_is_read_back(data):
    index = parse_index(data)

    assert index.parity is not None
    assert (index.parity.groups, index.parity.depth) == (2, 2)
    assert [file.size for file in index.parity.files] == [30, 25, 30, 25]
    assert dump_index(index) == data


def test_a_reader_that_does_not_know_parity_is_told_to_be_newer(data, monkeypatch):
    monkeypatch.setattr("sealift_manifests.index.INDEX_FEATURES", ())

    with pytest.raises(FormatVersionError, match="parity"):
        parse_index(data)


def test_the_manifest_has_no_such_feature():
    value = json.loads((GOLDEN / "manifest.json").read_bytes())

    with pytest.raises(FormatVersionError, match="parity"):
        parse_manifest(json.dumps(value | {"features": ["parity"]}).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.update(features=[]),
        lambda index: index.pop("features"),
        lambda index: index.pop("parity"),
        lambda index: index.pop("parity_groups"),
        lambda index: index.update(parity={}),
        lambda index: index.update(parity=[]),
        lambda index: index.update(parity=[7]),
        lambda index: index.update(parity_groups=0),
        lambda index: index.update(parity_groups=-2),
        lambda index: index.update(parity_groups=1),
        lambda index: index.update(parity_groups=3),
        lambda index: index.update(parity_groups=4),
        lambda index: index.update(parity_groups=2**53 - 1),
        lambda index: index.update(parity_groups=True),
        lambda index: index.update(parity_groups="2"),
        lambda index: index["parity"].pop(),
        lambda index: index["parity"].reverse(),
        lambda index: index["parity"][2].update(name=index["parity"][0]["name"]),
        lambda index: index["parity"][0].update(name="data-0001.pack"),
        lambda index: index["parity"][0].update(name="../x.par"),
        lambda index: index["parity"][0].update(name="manifest.json"),
        lambda index: index["parity"][0].update(name=None),
        lambda index: index["parity"][0].update(size=29),
        lambda index: index["parity"][0].update(size=31),
        lambda index: index["parity"][0].update(size=0),
        lambda index: index["parity"][0].update(size=2**53 - 1),
        lambda index: index["parity"][0].update(size="30"),
        lambda index: index["parity"][0].update(more=1),
        lambda index: index["parity"][0].pop("blocks"),
        lambda index: index["parity"][0].update(blocks=[]),
        lambda index: index["parity"][0].update(blocks={}),
        lambda index: index["parity"][0]["blocks"].append("sha256:" + "0" * 64),
        lambda index: index["parity"][0].update(blocks=["sha256:x"]),
        lambda index: index["parity"][0].update(blocks=[None]),
    ],
)
def test_an_index_that_lies_about_parity_is_refused(data: bytes, change: Change):
    value = json.loads(data)
    change(value)

    with pytest.raises(ManifestError):
        parse_index(json.dumps(value).encode())


def test_a_group_beyond_what_the_code_can_do_is_refused(tmp_path):
    value = json.loads(dump_index(protect(tmp_path, [[4]], Ratio(1, 1)).index))
    file = value["parity"][0]
    value["parity"] = [{**file, "name": f"p{n}.par"} for n in range(254)]
    parse_index(json.dumps(value).encode())

    value["parity"].append({**file, "name": "p254.par"})
    with pytest.raises(ManifestError, match="256 members"):
        parse_index(json.dumps(value).encode())


@pytest.mark.parametrize("text", ["1/20", "3/252", " 2/1 "])
def test_a_ratio_reads_as_it_is_written(text):
    assert str(Ratio.parse(text)) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "1", "0/4", "4/0", "1/255", "-1/3", "1/2/3", "a/b"]
)
def test_what_is_no_ratio_is_refused(text):
    with pytest.raises(UsageError, match="ratio"):
        Ratio.parse(text)


@pytest.mark.parametrize("size", [1, 100, 101, 2_000])
def test_a_plan_never_says_less_than_the_parity_will_be(size, tmp_path, monkeypatch):
    monkeypatch.setattr("sealift_bundler.parity.MAX_CHUNK", 30)
    # The worst that a packer may meet: every second chunk just does not fit.
    sizes, left = [], size
    while left:
        sizes.append([min(left, 71)])
        left -= sizes[-1][0]
    ratio = Ratio(2, 3)

    made = protect(tmp_path, sizes, ratio)

    assert sum(file.size for file in made.parity.files) <= ratio.bound(size, 100)


def test_without_a_size_or_a_wish_the_plan_says_nothing_of_parity():
    assert parity_bound(None, 5, 100) is None
    assert parity_bound(Ratio(1, 2), None, 100) is None
    assert parity_bound(Ratio(1, 2), 5, 100) == 5


@pytest.mark.parametrize("files", [1, 2, 3, 254])
def test_columns_divide_blocks_and_stay_small(files):
    width = column_width(files)

    assert (8 << 20) % width == 0
    assert files * width <= 16 << 20
