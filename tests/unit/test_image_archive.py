"""Image archives, handed to an engine and got from one; here without an engine."""

import gzip
import io
import json
import tarfile
from dataclasses import replace

import pytest
from engines import RawImage, a_layer, an_image
from sealift_installer.image_archive import archive, archive_size
from sealift_installer.image_audit import audit_export
from sealift_installer.images import _event_fault
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import DigestMismatchError


def opened(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data), mode="r:")


def text_of(tar: tarfile.TarFile, name: str):
    return json.load(tar.extractfile(name))


def test_the_archive_is_an_oci_layout_with_one_descriptor_under_the_full_name():
    image = an_image(name="stack", kind="docker")

    tar = opened(b"".join(archive(image.entry, image.read)))

    (descriptor,) = text_of(tar, "index.json")["manifests"]
    assert text_of(tar, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
    assert descriptor["digest"] == image.entry.manifest.digest
    assert descriptor["mediaType"] == image.entry.manifest.media_type
    assert descriptor["annotations"] == {
        "io.containerd.image.name": image.entry.reference,
        "org.opencontainers.image.ref.name": image.entry.reference.split(":")[1],
    }


def test_docker_finds_config_layers_and_only_the_signed_name():
    image = an_image(a_layer({"a": b"1"}), a_layer({"b": b"2"}))

    tar = opened(b"".join(archive(image.entry, image.read)))

    (entry,) = text_of(tar, "manifest.json")
    blobs = [f"blobs/sha256/{layer.digest.hex}" for layer in image.entry.layers]
    assert entry["Config"] == f"blobs/sha256/{image.entry.config.digest.hex}"
    assert entry["Layers"] == blobs
    assert entry["RepoTags"] == [image.entry.reference]


def test_every_blob_is_there_once_and_byte_for_byte():
    twice = a_layer({"same": b"same"})
    image = an_image(twice, a_layer({"b": b"2"}), twice)

    tar = opened(b"".join(archive(image.entry, image.read)))

    names = tar.getnames()
    assert len(names) == len(set(names)) == 3 + len(image.blobs)
    for digest, data in image.blobs.items():
        assert tar.extractfile(f"blobs/sha256/{digest.hex}").read() == data
    assert len(text_of(tar, "manifest.json")[0]["Layers"]) == 3


def test_the_archive_is_repeatable_and_its_size_is_known_before():
    image = an_image(a_layer({"a": b"x" * 1000}), a_layer({"b": b""}))

    once = b"".join(archive(image.entry, image.read))
    again = b"".join(archive(image.entry, lambda d: image.read(d, piece=7)))

    assert once == again
    assert archive_size(image.entry) == len(once)
    assert {member.mtime for member in opened(once)} == {0}


def test_a_layer_beyond_eight_gib_keeps_its_size():
    image = an_image()
    huge = replace(image.entry.layers[0], size=9 << 30)
    entry = replace(image.entry, layers=(huge,))

    member = f"blobs/sha256/{huge.digest.hex}".encode()
    pieces = archive(entry, image.read)
    block = next(piece for piece in pieces if piece.startswith(member))

    header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    assert header.size == 9 << 30
    assert archive_size(entry) > 9 << 30


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data[:-1], id="one byte short"),
        pytest.param(lambda data: data + bytes(9000), id="more"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="one bit"),
    ],
)
def test_a_blob_that_is_not_the_signed_one_never_makes_a_whole_archive(spoil):
    image = an_image()
    victim = image.entry.layers[0].digest
    image.blobs[victim] = spoil(image.blobs[victim])
    sent = []

    with pytest.raises(DigestMismatchError, match=victim.short):
        sent.extend(archive(image.entry, image.read))

    assert sum(map(len, sent)) < archive_size(image.entry)


def test_blobs_are_passed_on_as_they_come():
    image = an_image(a_layer({"a": bytes(300_000)}), compress=False)
    asked = []

    def read(digest):
        asked.append(digest)
        yield from image.read(digest, piece=1000)

    longest = max(map(len, archive(image.entry, read)))

    assert longest < 2048
    assert asked == list(image.blobs)


def audited(image, entry=None) -> list[str]:
    """Audit the archive of `image` as if an engine with an OCI layout exported it."""
    data = b"".join(archive(image.entry, image.read))
    return audit_export(io.BytesIO(data), entry or image.entry)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_export_in_oci_layout_passes_the_audit(kind, compress):
    image = an_image(
        a_layer({"a": b"1"}), a_layer({"b": b"2"}), kind=kind, compress=compress
    )

    assert audited(image) == []


def test_a_layer_that_was_compressed_anew_still_passes_by_what_it_holds():
    plain = a_layer({"a": bytes(5 << 20)})
    image = an_image(plain)
    half = len(plain) // 2
    again = gzip.compress(plain[:half], 9) + gzip.compress(plain[half:], 1)
    stored = replace(image.entry.layers[0], digest=digest_of(again), size=len(again))
    theirs = RawImage(
        replace(image.entry, layers=(stored,)), {**image.blobs, stored.digest: again}
    )

    assert audited(theirs, image.entry) == []

    other = replace(image.entry.layers[0], diff_id=digest_of(b"other"))
    (fault,) = audited(theirs, replace(image.entry, layers=(other,)))
    assert f"found {digest_of(plain).short}" in fault


def test_an_export_that_lacks_what_it_lists_fails_the_audit():
    image = an_image(a_layer({"a": b"1"}), a_layer({"b": b"2"}))
    bare = b"".join(archive(replace(image.entry, layers=()), image.read))
    data = b"".join(archive(image.entry, image.read))

    assert (
        "has 0 layers, 2 were signed" in audit_export(io.BytesIO(bare), image.entry)[0]
    )
    nothing = audit_export(io.BytesIO(data[:1024]), image.entry)
    assert "exports nothing of it" in nothing[0]


def test_an_export_that_is_cut_inside_a_layer_fails_the_audit():
    image = an_image(a_layer({"a": bytes(1 << 20)}), compress=False)
    data = b"".join(archive(image.entry, image.read))

    (fault,) = audit_export(io.BytesIO(data[: 1 << 19]), image.entry)

    assert "is damaged" in fault


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"stream":"Loaded image: x:1\\n"}', None),
        (b'{"status":"Loading layer","progressDetail":{"current":1}}', None),
        (b"", None),
        (b'{"stream":"Error unpacking image x:1: no blob\\n"}', "unpacking image"),
        (b'{"errorDetail":{"message":"no space left"}}', "no space left"),
        (b'{"error":"invalid diffID"}', "invalid diffID"),
        (b"<html>", "not readable"),
    ],
)
def test_failures_that_come_with_status_200_are_seen(line, fault):
    found = _event_fault(line)

    assert (found is None) if fault is None else (fault in found)
