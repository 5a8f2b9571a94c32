"""FORMAT.md has every field, word and number of the format, and no other."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sealift_manifests import (
    digests,
    image_entries,
    model,
    model_entries,
    smoke,
    sums,
)
from sealift_manifests import index as index_module
from sealift_manifests import settings as site_settings
from sealift_manifests import stack_entries as stack
from sealift_manifests import volume_entries as volume
from sealift_manifests.bundle import MAX_SMALL_FILE
from sealift_manifests.codecs import CODECS
from sealift_manifests.names import volume_name
from sealift_manifests.roots import MAX_SIGNATURE, MAX_SIGNATURES
from sealift_manifests.trust import NAMESPACE

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "manifests" / "FORMAT.md").read_text("utf-8")


def records() -> Iterator[tuple[str, str, bool]]:
    """Yield record, field and whether it is optional, for every part of a manifest."""
    parts = (model, model_entries, image_entries, stack, volume, site_settings, smoke)
    kinds = {name: kind for part in parts for name, kind in vars(part).items()}
    for name, kind in kinds.items():
        if dataclasses.is_dataclass(kind):
            for field in dataclasses.fields(kind):
                required = (
                    field.default is dataclasses.MISSING
                    and field.default_factory is dataclasses.MISSING
                )
                yield name, field.name, not required


TITLES = {
    "Manifest": "Top level",
    "ModelEntry": "Model",
    "ModelSource": "Model source",
    "ModelFile": "Model file",
    "ImageEntry": "Image",
    "ImageSource": "Image source",
    "Descriptor": "Descriptor",
    "LayerEntry": "Descriptor",
    "StackEntry": "Stack",
    "FileEntry": "Model file",
    "Service": "Service",
    "Setting": "Setting",
    "Secret": "Secret",
    "VolumeEntry": "Volume",
    "VolumeSource": "Volume source",
    "VolumeItem": "Volume item",
    "SmokeTest": "Smoke test",
    "Header": "Header",
    "Expectation": "Expectation",
    "JsonRule": "Rule",
    "Pack": "Pack",
    "Chunk": "Chunk",
    "Content": "Content",
    "BaseRelease": "Base",
}


def rows_of(title: str) -> dict[str, bool]:
    """Return the fields in the table under a bold title; True for optional ones."""
    _, _, rest = TEXT.partition(f"\n**{title}**")
    table = rest.lstrip("\n").partition("| field |")[2].partition("\n\n")[0]
    return {
        name: bool(mark)
        for name, mark in re.findall(r"^\| `(\w+)`( \?)? \|", table, re.M)
    }


@pytest.mark.parametrize(("record", "field", "optional"), sorted(set(records())))
def test_every_field_of_the_manifest_is_documented(record, field, optional):
    assert rows_of(TITLES[record])[field] is optional


@pytest.mark.parametrize("record", ["Pack", "Chunk", "Content", "BaseRelease"])
def test_every_field_of_the_index_is_documented_and_no_other(record):
    kind = getattr(index_module, record)

    assert set(rows_of(TITLES[record])) == set(kind._fields)


def test_no_field_is_documented_that_is_not_there():
    fields: dict[str, set[str]] = {}
    for record, field, _ in records():
        fields.setdefault(TITLES[record], set()).add(field)

    for title, expected in fields.items():
        assert set(rows_of(title)) == expected


def test_every_known_word_and_number_is_documented():
    words = [
        *CODECS,
        index_module.BASE,
        *index_module.INDEX_FEATURES,
        *model.KNOWN_FEATURES,
        *model_entries.LAYOUTS,
        *image_entries.PLATFORMS,
        *image_entries.LAYER_TYPES,
        *image_entries.MANIFEST_TYPES,
        *image_entries.CONFIG_TYPES,
        *(f"| `{kind}` |" for kind in site_settings.TYPES),
        site_settings.SECRETS_VARIABLE,
        site_settings.STAMP_VARIABLE,
        *smoke.METHODS,
        *smoke.JSON_TYPES,
        *smoke.JSON_RULES,
        model.BUNDLE_TYPE,
        NAMESPACE,
    ]
    limits = {
        "`SHA256SUMS`": sums.MAX_SUMS,
        "`manifest.json`": model.MAX_MANIFEST,
        "`index.json`": index_module.MAX_INDEX,
        "any other file that is not a pack": MAX_SMALL_FILE,
        "a chunk, plain or stored; a zstd window": index_module.MAX_CHUNK,
    }

    assert [word for word in words if word not in TEXT] == []
    for what, size in limits.items():
        shown = f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
        assert f"| {what} | {shown}" in TEXT
    assert f"1 to {index_module.MAX_CHUNK} |" in TEXT
    assert f"a companion | {MAX_SIGNATURE >> 10} KiB |" in TEXT
    assert f"companions together | {MAX_SIGNATURES} |" in TEXT
    known = TEXT.partition("Known features: ")[2].partition("\n")[0]
    assert all(f"`{f}` of `index.json`" in known for f in index_module.INDEX_FEATURES)
    assert not model.KNOWN_FEATURES or "none yet" not in known


def test_volumes_are_named_as_documented():
    tree = digests.Digest("sha256:" + "0123456789ab" + "c" * 52)

    assert volume_name("acme", "tiny", tree) == "sealift.acme.tiny.0123456789ab"
    assert "`flat`" in TEXT and "sealift.BUNDLE.MODEL.TREE12" in TEXT
