"""The chunk codecs: what comes back, what is refused, and by which decoders."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import product
from pathlib import Path

import numpy
import pytest
import sealift_manifests
import zstandard
from sealift_bundler import encode as encoding
from sealift_bundler.chunking import CHUNK_SIZE
from sealift_bundler.encode import Encoded, encode
from sealift_manifests.codecs import (
    PLANE_RAW,
    PLANE_ZSTD,
    RAW,
    SHUFFLE_ZSTD,
    ZSTD,
    decode,
)
from sealift_manifests.errors import ManifestError

MANIFESTS = Path(sealift_manifests.__file__).parents[1]
TEXT = b"the quick brown fox jumps over the lazy dog; " * 3000
AROUND_A_CHUNK = (CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1)
FRAME = zstandard.ZstdCompressor(level=3).compress(TEXT)


def bf16(count: int) -> bytes:
    """Return `count` weights as a checkpoint in bfloat16 has them."""
    weights = numpy.random.default_rng(7).standard_normal(count, numpy.float32) * 0.02
    return (weights.astype(numpy.float32).view("<u4") >> 16).astype("<u2").tobytes()


def fp32(count: int) -> bytes:
    """Return `count` weights in float32."""
    return numpy.random.default_rng(7).standard_normal(count, numpy.float32).tobytes()


def int8(count: int) -> bytes:
    """Return `count` weights quantised to one byte."""
    normal = numpy.random.default_rng(7).standard_normal(count)
    return (normal * 20).astype("i1").tobytes()


def noise(size: int) -> bytes:
    """Return bytes that nothing can shrink."""
    return random.Random(7).randbytes(size)


def back(encoded: Encoded, size: int) -> bytes:
    """Decode what was just encoded."""
    return bytes(decode(encoded.codec, encoded.stored, size, encoded.width))


# What comes back


@pytest.mark.parametrize(
    "size",
    [*range(9), 255, 256, 257, 131071, 131073, *AROUND_A_CHUNK],
)
@pytest.mark.parametrize(("width", "weights"), [(1, int8), (2, bf16), (4, fp32)])
def test_every_codec_gives_back_what_it_was_given(size, width, weights):
    data = weights(size // width + 1)[:size]

    assert back(encode(data, width), size) == data


@pytest.mark.parametrize(
    ("data", "width", "codec"),
    [
        (bf16(1 << 17), 2, SHUFFLE_ZSTD),
        (fp32(1 << 17), 4, SHUFFLE_ZSTD),
        (int8(1 << 18), 1, ZSTD),
        (TEXT, 1, ZSTD),
        (TEXT, 2, ZSTD),
        (noise(1 << 18), 1, RAW),
        (noise(1 << 18), 2, RAW),
        (noise(1 << 18), 4, RAW),
        (noise(1 << 18), 8, RAW),
        (bf16(1 << 17), 3, ZSTD),
        (b"", 2, RAW),
    ],
)
def test_each_kind_of_data_gets_the_codec_that_suits_it(data, width, codec):
    encoded = encode(data, width)

    assert encoded.codec == codec
    assert encoded.width == (width if codec == SHUFFLE_ZSTD else 1)
    assert back(encoded, len(data)) == data


def test_bf16_weights_come_close_to_their_entropy():
    data = bf16(1 << 21)

    assert len(encode(data, 2).stored) <= 0.672 * len(data)


def test_no_time_is_spent_on_planes_that_do_not_shrink():
    stored = encode(bf16(1 << 21), 2).stored

    assert [stored[0], stored[5]] == [PLANE_RAW, PLANE_ZSTD]


def test_a_chunk_whose_sample_promised_too_much_is_stored_raw():
    data = bytearray(noise(CHUNK_SIZE))
    for segment in range(8):
        start = (CHUNK_SIZE - 16384) * segment // 7
        data[start : start + 16384] = bytes(16384)

    encoded = encode(data, 1)

    assert encoded.codec == RAW
    assert encoded.stored is data


def test_the_pure_and_the_numpy_way_write_the_same_bytes(monkeypatch):
    samples = [(bf16(300_001) + b"x", 2), (fp32(300_001) + b"xyz", 4)]
    quick = [encode(data, width) for data, width in samples]

    monkeypatch.setattr(encoding, "_numpy", None)

    assert [encode(data, width) for data, width in samples] == quick


def test_the_same_bytes_are_written_by_every_thread_in_every_run():
    program = (
        "import sys, hashlib; from sealift_bundler.encode import encode;"
        "data = sys.stdin.buffer.read();"
        "print(hashlib.sha256(encode(data, 2).stored).hexdigest())"
    )
    data = bf16(1 << 18)
    others = [bf16(1 << 18), fp32(1 << 17), noise(1 << 19)]

    with ThreadPoolExecutor(8) as pool:
        many = set(pool.map(lambda _: encode(data, 2).stored, range(20)))
        list(pool.map(lambda n: encode(others[n % 3], 4), range(20)))
        many |= set(pool.map(lambda _: encode(data, 2).stored, range(20)))
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=data,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
    )

    (only,) = many
    assert run.stdout.decode().strip() == sha256(only).hexdigest()


def test_many_threads_decode_at_once():
    chunks = [bf16(100_000 + n) for n in range(16)]
    stored = [encode(chunk, 2) for chunk in chunks]

    with ThreadPoolExecutor(8) as pool:
        plain = list(pool.map(back, stored, map(len, chunks)))

    assert plain == chunks


def test_a_zstd_chunk_is_read_by_the_zstd_program():
    encoded = encode(TEXT, 1)

    run = subprocess.run(
        ["zstd", "-d", "-c"], input=encoded.stored, capture_output=True, check=True
    )

    assert run.stdout == TEXT


def test_a_stranger_can_read_shuffled_chunks_with_the_zstd_program():
    data = bf16(50_000) + b"!"
    stored = encode(data, 2).stored

    plain = bytearray(len(data))
    at = 10
    for plane in range(2):
        kind, length = struct.unpack_from("<BI", stored, 5 * plane)
        part = stored[at : at + length]
        if kind == 1:
            part = subprocess.run(
                ["zstd", "-d", "-c"], input=part, capture_output=True, check=True
            ).stdout
        plain[plane : len(data) // 2 * 2 : 2] = part
        at += length
    plain[-1:] = stored[at:]

    assert plain == data


def test_every_interpreter_of_the_offline_side_decodes_alone(pythons, tmp_path):
    samples = [(bf16(100_000) + b"x", 2), (fp32(50_000) + b"xyz", 4), (TEXT, 1)]
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from sealift_manifests.codecs import decode\n"
        "codec, size, width, file = sys.argv[2:]\n"
        "stored = open(file, 'rb').read()\n"
        "sys.stdout.buffer.write(decode(codec, stored, int(size), int(width)))\n"
    )
    file = tmp_path / "stored"

    for python, (data, width) in product(pythons, samples):
        encoded = encode(data, width)
        file.write_bytes(encoded.stored)
        numbers = map(str, (len(data), encoded.width))
        run = subprocess.run(
            [python.path, "-IBc", program, MANIFESTS, encoded.codec, *numbers, file],
            capture_output=True,
            check=True,
        )
        assert run.stdout == data, python


# What is refused


PLANE = zstandard.ZstdCompressor().compress(b"b" * 100)


def shuffled(*planes: tuple[int, int, bytes], tail: bytes = b"") -> bytes:
    """Lay out (kind, stated length, bytes) of each plane and the tail."""
    table = b"".join(struct.pack("<BI", kind, length) for kind, length, _ in planes)
    return table + b"".join(stored for _, _, stored in planes) + tail


SOUND = ((0, 100, b"a" * 100), (1, len(PLANE), PLANE))
BAD_PLANES = {
    "nothing": b"",
    "cut in the table": shuffled(*SOUND)[:9],
    "table only": shuffled(*SOUND)[:10],
    "cut in a plane": shuffled(*SOUND)[:-2],
    "no tail": shuffled(*SOUND),
    "a long tail": shuffled(*SOUND, tail=b"cc"),
    "one plane too few": shuffled(SOUND[0], tail=b"c"),
    "an unknown kind": shuffled(SOUND[0], (2, 100, b"a" * 100), tail=b"c"),
    "a short raw plane": shuffled((0, 99, b"a" * 99), SOUND[1], tail=b"c"),
    "a long raw plane": shuffled((0, 101, b"a" * 101), SOUND[1], tail=b"c"),
    "a stated length too long": shuffled(SOUND[0], (1, 1 << 31, PLANE), tail=b"c"),
    "a plane of another size": shuffled((1, len(FRAME), FRAME), SOUND[1], tail=b"c"),
    "two frames": shuffled(SOUND[0], (1, 2 * len(PLANE), PLANE * 2), tail=b"c"),
}


def test_a_shuffled_chunk_is_laid_out_as_documented():
    stored = shuffled(*SOUND, tail=b"c")

    assert decode(SHUFFLE_ZSTD, stored, 201, 2) == b"ab" * 100 + b"c"


@pytest.mark.parametrize("name", BAD_PLANES)
def test_a_shuffled_chunk_with_any_length_wrong_is_refused(name):
    with pytest.raises(ManifestError, match="not a valid zstd chunk"):
        decode(SHUFFLE_ZSTD, BAD_PLANES[name], 201, 2)


@pytest.mark.parametrize("width", [-2, 0, 1, 3, 8, 200])
def test_planes_of_other_widths_are_refused(width):
    with pytest.raises(ManifestError, match="bytes wide"):
        decode(SHUFFLE_ZSTD, shuffled(*SOUND, tail=b"c"), 201, width)


@pytest.mark.parametrize("size", [2, 4])
def test_raw_bytes_of_another_length_are_refused(size):
    with pytest.raises(ManifestError, match="3 raw bytes"):
        decode(RAW, b"abc", size, 1)


def test_an_unknown_codec_is_refused():
    with pytest.raises(ManifestError, match="unknown codec 'lzma'"):
        decode("lzma", b"abc", 3, 1)
