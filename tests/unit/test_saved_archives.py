"""Archives as other kinds of engines save them, put together by hand."""

import gzip
import hashlib
import io
import json
import os

import pytest
import zstandard
from saved_images import (
    EXAMPLE,
    Image,
    MemoryStore,
    a_config,
    a_layer,
    a_tar,
    blob,
    name,
    sent,
)
from sealift_bundler.engine.archive import (
    MAX_JSON,
    LayerReader,
    read_archive,
)
from sealift_bundler.engine.save import (
    EngineImage,
    make_manifest,
    understand,
)
from sealift_manifests.digests import digest_of, from_hex
from sealift_manifests.errors import (
    SourceContentError,
)

SECRET = "hf_" + "Sq7" * 12


def test_a_containerd_store_archive_is_understood():
    image, store = Image(b"one", b"two"), MemoryStore()

    saved = image.read(store=store)

    assert saved.config_bytes == image.config
    assert [layer.digest for layer in saved.layers] == list(
        map(digest_of, image.packed)
    )
    assert [layer.diff_id for layer in saved.layers] == list(
        map(digest_of, image.plain)
    )
    assert [layer.diff_size for layer in saved.layers] == list(map(len, image.plain))
    assert {layer.media_type[-4:] for layer in saved.layers} == {"gzip"}
    assert saved.manifest_bytes == make_manifest(image.config, saved.layers)
    assert set(store.blobs.values()) == set(image.packed)


def test_an_archive_of_a_newer_graph_driver_is_understood():
    image = Image(b"one", b"two", pack=bytes)

    saved = image.read(engine_id=digest_of(image.config))

    assert [layer.digest for layer in saved.layers] == list(map(digest_of, image.plain))
    assert saved.layers[0].media_type == "application/vnd.oci.image.layer.v1.tar"


def under_an_index(image, arm):
    """Put both images, and an attestation, under one index; return its bytes."""
    arm_config = a_config(arm.plain, "arm64")
    arm_manifest = json.dumps({"config": blob(arm_config), "layers": []}).encode()
    attestation = json.dumps({"config": blob(b"{}"), "layers": []}).encode()
    index = json.dumps(
        {"manifests": list(map(blob, (image.manifest, arm_manifest, attestation)))}
    ).encode()
    image.files |= {name(x): x for x in (index, arm_manifest, attestation, arm_config)}
    image.files["index.json"] = json.dumps({"manifests": [blob(index)]}).encode()
    return index


def test_the_image_of_the_wanted_platform_is_taken_from_an_index():
    image = Image(b"one")
    index = under_an_index(image, Image(b"arm"))

    saved = image.read(engine_id=digest_of(index))

    assert saved.config_bytes == image.config


def test_layers_of_other_platforms_do_not_travel_along():
    image, arm = Image(b"one"), Image(b"arm")
    index = under_an_index(image, arm)
    image.files |= {name(x): x for x in arm.packed}

    with pytest.raises(SourceContentError, match="layers of other platforms") as caught:
        image.read(engine_id=digest_of(index))

    assert "--platform linux/amd64" in caught.value.hint


def test_a_save_without_its_layers_is_refused_and_says_which():
    image = Image(b"one", b"two")
    del image.files[name(image.packed[1])]

    with pytest.raises(SourceContentError, match="1 of 2 layers") as caught:
        image.read()

    assert digest_of(image.plain[1]).short in caught.value.message
    assert "docker rmi" in caught.value.hint


def test_a_save_without_even_a_config_is_refused():
    image = Image(b"one")
    for data in (image.config, *image.packed):
        del image.files[name(data)]

    with pytest.raises(SourceContentError, match="without its config"):
        image.read()


def test_a_save_that_ends_after_any_byte_is_refused():
    image = Image(b"one")
    del image.files["manifest.json"], image.files["oci-layout"]  # not needed
    whole = a_tar(image.files)
    described = EngineImage(EXAMPLE, digest_of(image.manifest), "linux/amd64", (), 0)
    end_of_content = len(whole.rstrip(b"\0"))

    for end in range(0, end_of_content, 97):
        store = MemoryStore()
        with pytest.raises(SourceContentError):
            archive = read_archive(sent(whole[:end]), store, EXAMPLE)
            understand(archive, described, "linux/amd64", store)


def test_a_blob_that_does_not_fit_its_name_is_refused():
    packed_otherwise, reworded = Image(b"one"), Image(b"one")
    layer = name(packed_otherwise.packed[0])
    packed_otherwise.files[layer] = gzip.compress(packed_otherwise.plain[0], 0)
    reworded.files[name(reworded.config)] += b" "

    for image in (packed_otherwise, reworded):
        with pytest.raises(SourceContentError, match="does not hold the bytes"):
            image.read()


def test_a_store_that_stops_early_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="did not read"):
        Image(b"one").read(store=lambda stream: (digest_of(stream.read(9)), 9))


def test_an_archive_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("sealift_bundler.engine.archive._MAX_MEMBERS", 3)

    with pytest.raises(SourceContentError, match="more than 3 members"):
        Image(b"one").read()


def test_a_layer_that_does_not_fit_the_config_is_missing():
    image = Image(b"one")
    other = gzip.compress(a_layer(b"other"))
    del image.files[name(image.packed[0])]
    image.files[name(other)] = other

    with pytest.raises(SourceContentError, match="1 of 1 layers"):
        image.read()


def test_an_archive_of_another_image_than_was_described_is_refused():
    with pytest.raises(SourceContentError, match="engine described"):
        Image(b"one").read(engine_id=digest_of(b"another"))


def test_a_described_id_must_lead_to_the_config():
    image, other = Image(b"one"), Image(b"other")
    image.files |= {name(x): x for x in (other.manifest, other.config)}
    image.files["index.json"] = json.dumps(
        {"manifests": [blob(other.manifest)]}
    ).encode()

    with pytest.raises(SourceContentError, match="engine described"):
        image.read(engine_id=digest_of(other.manifest))


def test_zstd_layers_are_refused_with_the_remedy():
    image = Image(b"one", pack=zstandard.compress)

    with pytest.raises(SourceContentError, match="zstd") as caught:
        image.read()

    assert "gzip" in caught.value.hint


def test_a_gzip_layer_in_several_members_is_measured_whole():
    def in_two(data):
        return gzip.compress(data[:700]) + gzip.compress(data[700:])

    image = Image(b"one", pack=in_two)

    assert image.read().layers[0].diff_id == digest_of(image.plain[0])


def test_a_gzip_layer_that_breaks_off_is_refused():
    packed = gzip.compress(os.urandom(5000))
    reader = LayerReader(io.BytesIO(packed[:-9]), "a layer")
    MemoryStore()(reader)

    with pytest.raises(SourceContentError, match="ends too early"):
        reader.plain_digest()


def test_a_layer_larger_than_memory_may_keep_is_stored_in_pieces():
    largest = 0

    class Watching(MemoryStore):
        def __call__(self, stream):
            nonlocal largest
            hasher, size = hashlib.sha256(), 0
            while data := stream.read(1 << 16):
                largest = max(largest, len(data))
                hasher.update(data)
                size += len(data)
            return from_hex(hasher.hexdigest()), size

    image = Image(bytes(3 * MAX_JSON))

    saved = image.read(store=Watching())

    assert saved.layers[0].diff_size == len(image.plain[0])
    assert Image(os.urandom(2 * MAX_JSON), pack=bytes).read(store=Watching())
    assert largest == 1 << 16


def test_a_layer_that_begins_like_json_is_still_a_layer():
    image = Image(pack=bytes)
    plain = a_layer(b"text", name="{odd}")
    image.config = a_config([plain])
    image.manifest = json.dumps({"config": blob(image.config)}).encode()
    image.files = {name(x): x for x in (plain, image.config, image.manifest)}
    image.files["index.json"] = json.dumps(
        {"manifests": [blob(image.manifest)]}
    ).encode()

    assert image.read().layers[0].digest == digest_of(plain)


def test_documents_cannot_fill_the_memory():
    big = b"{" + bytes(MAX_JSON - 1)
    data = a_tar({f"{number}.json": big for number in range(17)})

    with pytest.raises(SourceContentError, match="more documents"):
        read_archive(sent(data), MemoryStore(), EXAMPLE)
