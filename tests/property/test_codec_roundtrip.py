"""Laws of the codecs and of cutting, for any bytes and any tensors."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from sealift_bundler.chunking import CHUNK_SIZE, cut_tensors, width_of
from sealift_bundler.encode import encode
from sealift_manifests.codecs import CODECS, SHUFFLE_ZSTD, ZSTD, decode
from sealift_manifests.errors import ManifestError

widths = st.sampled_from([1, 2, 4, 8])
# Short patterns repeated, so that all codecs are taken, with a tail of any length.
contents = st.builds(
    lambda unit, times, tail: unit * times + tail,
    st.binary(max_size=200),
    st.integers(0, 400),
    st.binary(max_size=9),
)


@dataclass(frozen=True)
class ATensor:
    """What chunking asks of a tensor."""

    dtype: str
    start: int
    end: int


@given(contents, widths)
def test_what_is_encoded_is_decoded_to_the_same_bytes(data, width):
    encoded = encode(data, width)

    assert decode(encoded.codec, encoded.stored, len(data), encoded.width) == data
    assert len(encoded.stored) <= len(data)


@given(contents, widths, st.data())
def test_a_cut_or_extended_chunk_is_never_decoded(data, width, draw):
    encoded = encode(data, width)
    cut = draw.draw(st.integers(0, max(len(encoded.stored) - 1, 0)))
    more = draw.draw(st.binary(min_size=1, max_size=40))
    wrong = [encoded.stored + more]
    if encoded.stored:
        wrong.append(encoded.stored[:cut])

    for stored in wrong:
        with pytest.raises(ManifestError):
            decode(encoded.codec, stored, len(data), encoded.width)


@given(st.binary(max_size=300), st.sampled_from(CODECS), st.integers(0, 400), widths)
def test_any_bytes_are_decoded_to_the_stated_size_or_refused(stored, codec, size, wide):
    try:
        plain = decode(codec, stored, size, wide)
    except ManifestError:
        return

    assert len(plain) == size


@settings(max_examples=300)
@given(st.data())
def test_a_changed_byte_never_changes_the_size_of_what_is_decoded(data):
    plain = b"weights and measures " * 20
    frame = bytearray(zstandard.ZstdCompressor().compress(plain))
    shuffled = b"\1" + len(frame).to_bytes(4, "little")
    shuffled = bytearray(shuffled * 2 + frame * 2)
    for codec, stored, size in (
        (ZSTD, frame, len(plain)),
        (SHUFFLE_ZSTD, shuffled, 2 * len(plain)),
    ):
        at = data.draw(st.integers(0, len(stored) - 1))
        stored[at] ^= data.draw(st.integers(1, 255))

        try:
            assert len(decode(codec, stored, size, 2)) == size
        except ManifestError:
            pass


@given(
    st.integers(8, 3 * CHUNK_SIZE),
    st.lists(
        st.tuples(
            st.sampled_from(["BF16", "F32", "I8", "F8_E4M3", "I64"]),
            st.one_of(st.integers(0, 4096), st.integers(0, 3 * CHUNK_SIZE)),
        ),
        max_size=60,
    ),
)
def test_pieces_cover_the_file_exactly_and_never_mix_widths(header, shapes):
    tensors = []
    at = 0
    for dtype, size in shapes:
        tensors.append(ATensor(dtype, at, at + size))
        at += size

    pieces = list(cut_tensors(header, tensors, header + at))

    assert [p.offset for p in pieces] == [0] + [p.end for p in pieces[:-1]]
    assert pieces[-1].end == header + at
    assert all(0 < p.size <= CHUNK_SIZE for p in pieces)
    for tensor in tensors:
        start, end = header + tensor.start, header + tensor.end
        inside = {p.width for p in pieces if p.offset < end and p.end > start}
        assert inside == {width_of(tensor.dtype)} or start == end
