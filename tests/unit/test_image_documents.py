"""Manifests and indexes: what is carried, and what is refused and why."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from registries import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    make_image,
    make_index,
    make_layer,
)
from sealift_bundler.registry.documents import (
    ImageIndex,
    ImageManifest,
    Platform,
    parse_document,
    parse_platform,
)
from sealift_manifests.errors import SourceContentError, SpecError

IMAGE = make_image([make_layer({"a": b"a"})])
INDEX = make_index({"linux/amd64": IMAGE, "linux/arm/v7": IMAGE}, attested=True)


def parse(document: Any, content_type: str = "") -> ImageIndex | ImageManifest:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_document(data, content_type, name="app:1")


def changed(**members: Any) -> dict[str, Any]:
    """Return the good manifest with members set, or dropped when None."""
    manifest = copy.deepcopy(json.loads(IMAGE.manifest)) | members
    return {key: value for key, value in manifest.items() if value is not None}


def with_layer(**members: Any) -> dict[str, Any]:
    layer = json.loads(IMAGE.manifest)["layers"][0]
    return changed(layers=[layer | members])


def test_an_index_gives_its_images_without_the_attestation():
    index = parse(INDEX)

    assert isinstance(index, ImageIndex)
    platforms = [str(entry.platform) for entry in index.entries]
    assert platforms == ["linux/amd64", "linux/arm/v7"]


@pytest.mark.parametrize("key", ["annotations", "platform"])
def test_either_mark_of_an_attestation_is_enough(key):
    index = json.loads(INDEX)
    attestation = index["manifests"][0]
    attestation["platform"] = {"os": "linux", "architecture": "s390x"}
    attestation["annotations"] = {}
    attestation[key] = json.loads(INDEX)["manifests"][0][key]

    assert len(parse(index).entries) == 2


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (OCI_MANIFEST, OCI_MANIFEST),
        (f"{DOCKER_MANIFEST}; charset=utf-8", DOCKER_MANIFEST),
        ("application/json", OCI_MANIFEST),
        ("", OCI_MANIFEST),
    ],
)
def test_a_manifest_that_does_not_name_itself_is_what_the_server_says(header, expected):
    assert parse(changed(mediaType=None), header).media_type == expected


def test_a_manifest_that_names_itself_is_believed_before_the_server():
    assert parse(IMAGE.manifest, DOCKER_MANIFEST).media_type == OCI_MANIFEST


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        changed(schemaVersion=3),
        changed(schemaVersion=None),
        changed(config=None),
        changed(layers=None),
        changed(layers={}),
        changed(layers=[7]),
        changed(config=[]),
        changed(manifests=[]),
        changed(manifests=[], mediaType=OCI_INDEX),
        changed(manifests=[], mediaType=None),
        changed(mediaType=OCI_INDEX),
        changed(mediaType="text/html"),
        changed(mediaType=["x"]),
        changed(Layers=[]),
        with_layer(size=-1),
        with_layer(size=True),
        with_layer(size=1.5),
        with_layer(size="1"),
        with_layer(size=1 << 60),
        with_layer(digest="sha512:" + "0" * 128),
        with_layer(digest="sha256:../../etc/passwd"),
        with_layer(digest=None),
        with_layer(Digest="sha256:" + "0" * 64),
        with_layer(mediaType=None),
        IMAGE.manifest.replace(b"{", b'{"layers": [],', 1),
    ],
)
def test_a_document_that_can_be_read_in_two_ways_or_none_is_refused(document):
    with pytest.raises(SourceContentError, match="app:1"):
        parse(document)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, "schema 1"),
        (with_layer(mediaType="application/vnd.oci.image.layer.v1.tar+zstd"), "zstd"),
        (
            with_layer(
                mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            ),
            "not to be distributed",
        ),
        (
            with_layer(
                mediaType="application/vnd.oci.image.layer.nondistributable.v1.tar"
            ),
            "not to be distributed",
        ),
        (
            with_layer(
                mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"
            ),
            "unknown kind",
        ),
        (
            changed(
                config={
                    "mediaType": "application/vnd.cncf.helm.config.v1+json",
                    "digest": IMAGE.digest,
                    "size": 2,
                }
            ),
            "not a container image",
        ),
    ],
)
def test_what_cannot_be_carried_is_refused_with_the_reason(document, why):
    with pytest.raises(SourceContentError, match=why):
        parse(document)


def test_a_zstd_layer_is_named_and_a_way_out_is_shown():
    layer = with_layer(mediaType="application/vnd.oci.image.layer.v1.tar+zstd")

    with pytest.raises(SourceContentError) as caught:
        parse(layer)

    assert "layer 1" in caught.value.message
    assert layer["layers"][0]["digest"][7:19] in caught.value.message
    assert "engine:" in caught.value.hint


@pytest.mark.parametrize(
    ("one", "other", "fit"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/amd64", "windows/amd64", False),
    ],
)
def test_a_platform_fits_one_that_means_the_same_machine(one, other, fit):
    assert parse_platform(one).fits(parse_platform(other)) is fit
    assert parse_platform(other).fits(parse_platform(one)) is fit


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d"])
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(SpecError, match="not a platform"):
        parse_platform(text)


def test_a_platform_is_written_as_it_is_read():
    assert str(Platform("linux", "arm64", "v8")) == "linux/arm64/v8"
