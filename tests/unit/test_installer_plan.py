"""What an install still has to do, decided without looking at a host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sealift_installer.plan import HostState, plan_install
from sealift_manifests.index import parse_index
from sealift_manifests.model import parse_manifest
from sealift_manifests.volume_entries import VolumeEntry, VolumeItem, VolumeSource

GOLDEN = Path(__file__).resolve().parents[1] / "golden/bundle-v1"
MANIFEST = parse_manifest((GOLDEN / "manifest.json").read_bytes())
INDEX = parse_index((GOLDEN / "index.json").read_bytes())
DIGESTS = {file.digest for model in MANIFEST.models for file in model.files}
CONTENTS = tuple(INDEX.contents[digest] for digest in sorted(DIGESTS))
EMPTY = HostState(
    missing_contents=CONTENTS,
    trees=frozenset(),
    volumes=frozenset(),
    images=frozenset(),
    has_engine=True,
    has_release=False,
    current=None,
    release="/r",
)
DONE = HostState(
    missing_contents=(),
    trees=frozenset({"chat", "local"}),
    volumes=frozenset({"chat", "local"}),
    images=frozenset({"web"}),
    has_engine=True,
    has_release=True,
    current="/r",
    release="/r",
)


def test_an_empty_host_gets_everything():
    plan = plan_install(MANIFEST, EMPTY)

    assert plan.contents == CONTENTS
    assert plan.trees == plan.volumes == MANIFEST.models
    assert plan.images == MANIFEST.images
    assert plan.write_release
    assert plan.switch
    assert plan.weight_bytes == sum(content.size for content in CONTENTS)


def test_a_host_that_has_everything_gets_nothing():
    assert plan_install(MANIFEST, DONE).is_empty


def test_data_that_is_there_stays_and_what_is_not_is_filled():
    root = VolumeItem(".", "directory")
    volumes = [VolumeEntry(n, VolumeSource("path"), (root,)) for n in ("one", "two")]
    features = ("volumes",)
    manifest = replace(MANIFEST, volumes=tuple(volumes), features=features)

    plan = plan_install(manifest, replace(DONE, data=frozenset({"one"})))

    assert plan.data == (volumes[1],)
    assert not plan.is_empty
    everything = replace(DONE, data=frozenset({"one", "two"}))
    assert plan_install(manifest, everything).is_empty


def test_whatever_alone_is_missing_is_brought():
    chat, local = MANIFEST.models
    lacking = {
        "trees": replace(DONE, trees=frozenset({"chat"})),
        "volumes": replace(DONE, volumes=frozenset({"local"})),
        "images": replace(DONE, images=frozenset()),
        "contents": replace(DONE, missing_contents=CONTENTS[:1]),
        "write_release": replace(DONE, has_release=False),
        "switch": replace(DONE, current="/another"),
    }

    brought = {
        part: getattr(plan_install(MANIFEST, host), part)
        for part, host in lacking.items()
    }

    assert brought == {
        "trees": (local,),
        "volumes": (chat,),
        "images": MANIFEST.images,
        "contents": CONTENTS[:1],
        "write_release": True,
        "switch": True,
    }
    assert not any(plan_install(MANIFEST, host).is_empty for host in lacking.values())


def test_without_an_engine_there_are_no_volumes_to_make():
    assert plan_install(MANIFEST, replace(EMPTY, has_engine=False)).volumes == ()
