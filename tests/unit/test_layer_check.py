"""A layer is what the config says it unpacks to, or the image is not whole."""

from __future__ import annotations

import gzip
import io
import json

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from registries import DOCKER_LAYER, OCI_LAYER, make_layer, sha256
from sealift_bundler.registry import Descriptor, LayerFacts, verify_layers
from sealift_manifests.digests import Digest
from sealift_manifests.errors import SourceContentError

PLAIN = make_layer({"x": b"some content " * 1000}, gzipped=False).data
ZIPPED = gzip.compress(PLAIN, mtime=0)


def check(*stored: bytes, diff_ids: list[str], kind: str = OCI_LAYER + "+gzip"):
    blobs = {Digest(sha256(data)): data for data in stored}
    layers = [Descriptor(kind, Digest(sha256(data)), len(data)) for data in stored]
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}})
    return verify_layers(
        config.encode(), layers, lambda digest: io.BytesIO(blobs[digest]), image="app:1"
    )


def test_plain_and_gzip_layers_are_measured_unpacked():
    facts = check(PLAIN, ZIPPED, diff_ids=[sha256(PLAIN)] * 2)

    assert facts == tuple(
        LayerFacts(Digest(sha256(data)), Digest(sha256(PLAIN)), len(PLAIN))
        for data in (PLAIN, ZIPPED)
    )


@given(
    st.lists(st.binary(max_size=400_000), min_size=1, max_size=5),
    st.integers(1, 300_000),
)
def test_gzip_in_several_members_and_short_reads_unpacks_to_the_whole(parts, most):
    whole = b"".join(parts)
    data = b"".join(gzip.compress(part, 1, mtime=0) for part in parts)

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(most, size or most))

    layer = Descriptor(OCI_LAYER + "+gzip", Digest(sha256(data)), len(data))
    config = json.dumps({"rootfs": {"diff_ids": [sha256(whole)]}}).encode()
    (facts,) = verify_layers(config, [layer], lambda _digest: Dribble(data))

    assert facts.uncompressed_size == len(whole)


def test_a_layer_that_unpacks_to_many_times_its_size_is_read_in_small_steps():
    data = gzip.compress(bytes(64 << 20), 9, mtime=0)

    (facts,) = check(data, diff_ids=[sha256(bytes(64 << 20))])

    assert facts.uncompressed_size == 64 << 20


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ZIPPED + b"garbage", "not sound gzip"),
        (ZIPPED + b"\0" * 512, "not sound gzip"),
        (ZIPPED + ZIPPED[:10], "ends in the middle"),
        (ZIPPED[:-1], "ends in the middle"),
        (ZIPPED[:2], "ends in the middle"),
        (ZIPPED[:-8] + b"\0\0\0\0" + ZIPPED[-4:], "not sound gzip"),
        (ZIPPED + gzip.compress(b"more"), "unpacks to"),
        (PLAIN + b"\0", "unpacks to"),
        (b"", "unpacks to"),
        (zstandard.compress(PLAIN), "zstd"),
    ],
)
def test_a_layer_with_anything_wrong_is_refused_by_number(data, why):
    with pytest.raises(SourceContentError, match=rf"layer 2 .*app:1.*{why}|{why}"):
        check(PLAIN, data, diff_ids=[sha256(PLAIN)] * 2)


def test_layers_in_another_order_are_refused():
    other = make_layer({"y": b"y"}).data

    with pytest.raises(SourceContentError, match="layer 1"):
        check(ZIPPED, other, diff_ids=[sha256(gzip.decompress(other)), sha256(PLAIN)])


@pytest.mark.parametrize("count", [0, 2])
def test_a_layer_too_few_or_too_many_is_refused(count):
    with pytest.raises(SourceContentError, match=f"names {count}"):
        check(ZIPPED, diff_ids=[sha256(PLAIN)] * count)


def test_a_blob_that_is_not_the_one_its_name_says_is_refused():
    again = gzip.compress(PLAIN, 1, mtime=5)
    layer = Descriptor(OCI_LAYER + "+gzip", Digest(sha256(ZIPPED)), len(ZIPPED))
    config = json.dumps({"rootfs": {"diff_ids": [sha256(PLAIN)]}}).encode()

    with pytest.raises(SourceContentError, match="not those that its digest names"):
        verify_layers(config, [layer], lambda _digest: io.BytesIO(again))


@pytest.mark.parametrize("kind", [OCI_LAYER, DOCKER_LAYER])
def test_gzip_that_calls_itself_plain_is_refused_as_containerd_would(kind):
    with pytest.raises(SourceContentError, match="says plain tar"):
        check(ZIPPED, diff_ids=[sha256(PLAIN)], kind=kind)


def test_every_stream_is_closed():
    opened = []

    def open_blob(_digest: Digest) -> io.BytesIO:
        opened.append(io.BytesIO(ZIPPED))
        return opened[-1]

    layer = Descriptor(OCI_LAYER + "+gzip", Digest(sha256(ZIPPED)), len(ZIPPED))
    config = json.dumps({"rootfs": {"diff_ids": [sha256(PLAIN)]}}).encode()
    verify_layers(config, [layer], open_blob)

    assert [stream.closed for stream in opened] == [True]


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b"{}",
        b'{"rootfs": {"diff_ids": "x"}}',
        b'{"rootfs": {"diff_ids": [7]}}',
        b'{"rootfs": {"diff_ids": []}, "rootfs": {"diff_ids": []}}',
        b'{"rootfs": {"diff_ids": []}, "RootFS": {"diff_ids": []}}',
        b'{"rootfs": {"diff_ids": [], "Diff_IDs": []}}',
    ],
)
def test_a_config_that_can_be_read_in_two_ways_or_none_is_refused(config):
    with pytest.raises(SourceContentError, match="the config of"):
        verify_layers(config, [], lambda _digest: io.BytesIO())
