"""A volume in a manifest: what it may say, and what no directory can hold."""

from __future__ import annotations

import pytest
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import FormatVersionError, ManifestError, UnsafePathError
from sealift_manifests.model import dump_manifest, parse_manifest
from sealift_manifests.strictjson import dump
from sealift_manifests.volume_entries import VolumeEntry, VolumeItem, VolumeSource

ONE = digest_of(b"one")
ROOT = {"path": ".", "kind": "directory", "mode": 0o755}
FILE = {"path": "a", "kind": "file", "mode": 0o640, "size": 3, "digest": ONE}


def a_manifest(*items, **changes):
    volume = {"name": "store", "source": {"kind": "path"}, "items": list(items)}
    return {
        "format": 1,
        "type": "sealift-bundle",
        "name": "acme",
        "version": "1",
        "serial": 1,
        "platform": "linux/amd64",
        "created": "2026-11-01T00:00:00Z",
        "builder": "by hand",
        "features": ["volumes"],
        "volumes": [volume],
        **changes,
    }


def parse(value):
    return parse_manifest(dump(value))


def test_a_volume_is_written_and_read_again_as_it_is():
    link = {"path": "l", "kind": "link", "target": "../b", "uid": 7}
    hard = {"path": "z", "kind": "hardlink", "target": "a"}
    value = a_manifest(ROOT, FILE, link, hard)

    manifest = parse(value)

    assert dump_manifest(manifest) == dump(value)
    assert [what for _, _, what in manifest.contents()] == ["volume store: a"]
    (volume,) = manifest.volumes
    assert volume.size == 3
    assert volume.listing == f"{ONE.hex}  a\n{ONE.hex}  z\n".encode()


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([FILE], "does not begin with ."),
        ([ROOT, {**FILE, "path": "b"}, FILE], "out of order"),
        ([ROOT, FILE, FILE], "out of order"),
        ([ROOT, {**FILE, "path": "b/a"}], "is in nothing"),
        ([ROOT, FILE, {**FILE, "path": "a/b"}], "is in nothing"),
        ([ROOT, {**FILE, "path": "../a"}], "'..' part"),
        ([ROOT, {**FILE, "kind": "socket"}], "unknown kind"),
        ([ROOT, {**FILE, "mode": 0o10000}], "bad mode"),
        ([ROOT, {**FILE, "uid": 2**32 - 1}], "bad owner"),
        ([ROOT, {"path": "a", "kind": "file"}], "digest"),
        ([ROOT, {**FILE, "target": "b"}], "target"),
        ([ROOT, {"path": "l", "kind": "link", "target": "x" * 4096}], "length"),
        ([ROOT, {"path": "h", "kind": "hardlink", "target": "a"}], "no file"),
        ([ROOT, {"path": "h", "kind": "hardlink", "target": "."}], "no file"),
        (
            [ROOT, FILE, {"path": "h", "kind": "hardlink", "target": "a", "uid": 1}],
            "nothing of its own",
        ),
    ],
)
def test_what_no_directory_can_hold_is_refused(items, words):
    with pytest.raises((ManifestError, UnsafePathError), match=words):
        parse(a_manifest(*items))


def test_names_that_differ_by_case_only_are_two_names_of_a_volume():
    parse(a_manifest(ROOT, {**FILE, "path": "A"}, FILE))


def test_a_reader_that_knows_no_volumes_is_told_so_by_the_feature():
    with pytest.raises(ManifestError, match="the feature of it go together"):
        parse(a_manifest(ROOT, features=[]))
    with pytest.raises(ManifestError, match="the feature of it go together"):
        parse(a_manifest(ROOT, volumes=[]))
    with pytest.raises(FormatVersionError):
        parse(a_manifest(ROOT, features=["volumes", "more"]))


def test_a_volume_and_a_model_do_not_share_a_name():
    tree, source = digest_of(b"tree"), {"kind": "path"}
    file = {"path": "a", "size": 3, "digest": ONE}
    model = {"name": "store", "layout": "flat", "source": source, "files": [file]}

    with pytest.raises(ManifestError, match="appears twice"):
        parse(a_manifest(ROOT, models=[{**model, "tree": tree}]))


def test_the_identity_of_a_volume_is_that_of_all_that_is_listed_of_it():
    root, source = VolumeItem(".", "directory", 0o755), VolumeSource("volume", "x")
    one = VolumeEntry("a", source, (root,))

    assert VolumeEntry("b", VolumeSource("path"), (root,)).digest == one.digest
    for changed in (VolumeItem(".", "directory"), VolumeItem(".", "directory", uid=1)):
        assert VolumeEntry("a", source, (changed,)).digest != one.digest
