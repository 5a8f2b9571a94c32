"""Decoding one zstd frame with each of the decoders that a host may have."""

from __future__ import annotations

import ctypes
import random
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
import zstandard
from sealift_manifests import zstd
from sealift_manifests.errors import ManifestError, PreflightError

TEXT = b"the quick brown fox jumps over the lazy dog; " * 3000
FRAME = zstandard.ZstdCompressor(level=3).compress(TEXT)


def the_module_of_python_3_14():
    """Return `compression.zstd`, or its namesake for earlier versions of Python."""
    if sys.version_info >= (3, 14):
        return import_module("compression.zstd")
    return pytest.importorskip("backports.zstd")


@pytest.fixture(params=["libzstd", "compression.zstd"])
def decoder(request, monkeypatch):
    """Run the test with each of the two decoders that a host may have."""
    backend = zstd._load_libzstd()
    if request.param != "libzstd":
        unpack = zstd._StdlibZstd(the_module_of_python_3_14()).unpack
        backend = zstd._Backend(request.param, unpack)
    monkeypatch.setattr(zstd, "_backend", lambda: backend)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_can_be_decoded(kind, decoder):
    assert zstd.decompress(kind(FRAME), len(TEXT)) == TEXT


def test_a_frame_is_decoded_into_the_place_that_is_given(decoder):
    place = bytearray(b"." * (len(TEXT) + 20))

    view = zstd.decompress(FRAME, len(TEXT), memoryview(place)[10:-10])

    assert view == TEXT
    assert place == b"." * 10 + TEXT + b"." * 10


@pytest.mark.parametrize("place", [bytearray(5), bytes(len(TEXT))])
def test_a_place_of_the_wrong_size_or_that_cannot_be_written_is_not_used(place):
    with pytest.raises(ValueError, match="writable"):
        zstd.decompress(FRAME, len(TEXT), memoryview(place))


def test_a_frame_of_nothing_gives_nothing(decoder):
    assert zstd.decompress(zstandard.ZstdCompressor().compress(b""), 0) == b""


def garbage(size: int) -> bytes:
    """Return bytes that mean nothing."""
    return random.Random(7).randbytes(size)


def skippable(content: bytes) -> bytes:
    """Return a frame that decoders pass over in silence."""
    return struct.pack("<II", 0x184D2A50, len(content)) + content


def framed(**options: object) -> bytes:
    """Compress the text with these parameters of a frame."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, **options)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(TEXT)


def with_dictionary() -> bytes:
    """Compress the text with a dictionary that has an identity."""
    words = [b"%d the quick brown fox %d" % (n, n * n) for n in range(5000)]
    dictionary = zstandard.train_dictionary(2048, words)
    return zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT)


def windowed(exponent: int, eighths: int = 0) -> bytes:
    """Return a sound frame for the text that demands a window of 2**exponent bytes
    and so many eighths more."""
    body = FRAME[4 + 1 + 4 :]
    assert FRAME[4] == 0b1010_0000
    window = bytes([(exponent - 10) << 3 | eighths])
    return FRAME[:4] + b"\x80" + window + FRAME[5:9] + body


BAD_FRAMES = {
    "nothing": b"",
    "magic only": FRAME[:4],
    "header only": FRAME[:9],
    "cut in the header": FRAME[:7],
    "cut at the end": FRAME[:-1],
    "extended": FRAME + b"\0",
    "a second frame": FRAME + FRAME,
    "a second, empty frame": FRAME + zstandard.ZstdCompressor().compress(b""),
    "a skippable frame behind": FRAME + skippable(b"hidden"),
    "a skippable frame before": skippable(b"hidden") + FRAME,
    "only a skippable frame": skippable(b"hidden" * 1000),
    "garbage": garbage(1000),
    "garbage in the body": FRAME[:9] + garbage(len(FRAME) - 9),
    "no size": framed(write_content_size=False),
    "a dictionary": with_dictionary(),
    "an unknown format": b"\x1f\x8b" + FRAME[2:],
    "a reserved bit": FRAME[:4] + bytes([FRAME[4] | 8]) + FRAME[5:],
    "a huge window": windowed(24),
    "a window half too large": windowed(23, 4),
    "a false checksum": framed(write_checksum=True)[:-4] + b"nope",
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_a_frame_that_is_not_exactly_one_sound_frame_is_refused(name, decoder):
    with pytest.raises(ManifestError, match="not a valid zstd chunk"):
        zstd.decompress(BAD_FRAMES[name], len(TEXT))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing", "does not begin with a zstd frame"),
        ("cut in the header", "ends within its header"),
        ("no size", "size of None"),
        ("a dictionary", "needs a dictionary"),
        ("a reserved bit", "reserved bit"),
        ("a huge window", "window of 16777216 bytes"),
        ("a skippable frame before", "does not begin with a zstd frame"),
        ("a skippable frame behind", "something follows"),
    ],
)
def test_the_reason_for_refusing_a_frame_is_told(name, reason, decoder):
    with pytest.raises(ManifestError, match=reason):
        zstd.decompress(BAD_FRAMES[name], len(TEXT))


@pytest.mark.parametrize("size", [0, 1, len(TEXT) - 1, len(TEXT) + 1, 1 << 30])
def test_a_frame_of_another_size_than_stated_is_refused(size, decoder):
    with pytest.raises(ManifestError, match="states a size"):
        zstd.decompress(FRAME, size)


@pytest.mark.parametrize("lie", [-1, 1, 1000])
def test_a_frame_that_lies_about_its_size_is_refused(lie, decoder):
    size = len(TEXT) + lie
    frame = FRAME[:5] + struct.pack("<I", size) + FRAME[9:]

    with pytest.raises(ManifestError, match="not a valid zstd chunk"):
        zstd.decompress(frame, size)


def test_the_largest_window_that_every_decoder_knows_is_accepted(decoder):
    assert zstd.decompress(windowed(23), len(TEXT)) == TEXT


def test_a_checksum_in_the_frame_is_accepted(decoder):
    assert zstd.decompress(framed(write_checksum=True), len(TEXT)) == TEXT


# The host's decoder


def test_a_host_without_a_decoder_is_told_which_package_to_install(monkeypatch):
    monkeypatch.setattr(zstd, "_SONAME", "libzstd-that-is-not-there.so.1")
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    zstd._backend.cache_clear()
    try:
        with pytest.raises(PreflightError) as caught:
            zstd.library()
    finally:
        zstd._backend.cache_clear()

    assert "libzstd1" in caught.value.hint


def test_the_decoder_of_this_host_is_named():
    assert zstd.library().startswith("libzstd 1.")


def test_a_library_older_than_its_stable_functions_is_not_used(monkeypatch):
    monkeypatch.setattr(zstd, "_OLDEST", 99999)

    assert zstd._load_libzstd() is None


def test_a_context_is_freed_with_its_thread():
    lib = ctypes.CDLL("libzstd.so.1")
    decoder = zstd._Libzstd(lib)
    free, freed = lib.ZSTD_freeDCtx, []
    lib.ZSTD_freeDCtx = lambda handle: freed.append(free(handle))
    place = memoryview(bytearray(len(TEXT)))

    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            pool.submit(decoder.unpack, FRAME, place).result()

    assert freed == [0]
