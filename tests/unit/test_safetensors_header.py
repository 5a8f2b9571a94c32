"""The safetensors header reader: good files, every lie, and the reference's opinion."""

from __future__ import annotations

import io
import json
import random
import struct
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save
from sealift_bundler.models.safetensors_header import (
    BITS,
    MAX_HEADER,
    SafetensorsHeader,
    read_header,
)
from sealift_manifests.errors import SourceContentError

F32 = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


def a_file(header: str | bytes, data: bytes = b"") -> bytes:
    raw = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(raw)) + raw + data


def of(entries: dict[str, Any], data: bytes = b"") -> bytes:
    return a_file(json.dumps(entries), data)


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def read(content: bytes) -> SafetensorsHeader:
    return read_header(io.BytesIO(content), len(content), "w.safetensors")


def the_reference_accepts(content: bytes) -> bool:
    try:
        deserialize(content)
    except SafetensorError:
        return False
    return True


def test_a_real_model_is_read_as_the_reference_reads_it(hub_model_dir):
    content = (hub_model_dir / "model.safetensors").read_bytes()

    header = read(content)

    theirs = dict(deserialize(content))
    assert {t.name for t in header.tensors} == set(theirs)
    for tensor in header.tensors:
        data = content[header.header_size + tensor.start :][: tensor.end - tensor.start]
        assert list(tensor.shape) == theirs[tensor.name]["shape"]
        assert tensor.dtype == theirs[tensor.name]["dtype"]
        assert data == theirs[tensor.name]["data"]
    assert header.header_size + header.tensors[-1].end == len(content)


def test_tensors_come_in_file_order_and_metadata_is_kept():
    arrays = {f"t{i}": numpy.arange(i + 1, dtype="uint8") for i in range(20)}
    arrays["half"] = numpy.zeros((3, 5), "float16")

    header = read(save(arrays, metadata={"format": "pt"}))

    assert [t.start for t in header.tensors] == sorted(t.start for t in header.tensors)
    assert header.metadata == {"format": "pt"}
    assert {t.name: t.count for t in header.tensors}["half"] == 15


def test_a_header_without_tensors_is_true_of_a_file_without_data():
    assert read(of({})).tensors == ()


def test_only_the_header_is_read():
    content = of({"a": entry("U8", [1 << 20], 0, 1 << 20)}, bytes(1 << 20))
    stream = io.BytesIO(content)

    header = read_header(stream, len(content), "w")

    assert stream.tell() == header.header_size


ALONE = {"a": entry("F32", [1], 0, 4)}
LIES = {
    "no room for the length": (b"\0\0\0", "ends after 3 of 8"),
    "longer than the file": (struct.pack("<Q", 90) + b"{}", "claims 90 bytes"),
    "longer than the cap": (struct.pack("<Q", MAX_HEADER + 1), "more than"),
    "length beyond 63 bits": (b"\xff" * 8, "more than"),
    "not UTF-8": (a_file(b'{"\xff":1}'), "not JSON"),
    "a byte order mark": (a_file(b"\xef\xbb\xbf{}"), "not JSON"),
    "not JSON": (a_file("{"), "not JSON"),
    "something after the JSON": (a_file("{}x"), "not JSON"),
    "a list": (a_file("[]"), "not a JSON object"),
    "deep nesting": (a_file('{"a":' + "[" * 100_000), "not JSON"),
    "NaN": (a_file('{"a":NaN}'), "not a count"),
    "a float": (a_file('{"a":' + F32.replace("[1]", "[1.0]") + "}", b"1234"), "count"),
    "a negative shape": (of({"a": entry("F32", [-1], 0, 4)}, b"1234"), "not a count"),
    "minus zero": (a_file('{"a":' + F32.replace("[0", "[-0") + "}", b"1234"), "-0"),
    "a huge number": (a_file('{"a":' + "9" * 5000 + "}"), "not a count"),
    "a count of 65 bits": (of({"a": entry("U8", [0, 1 << 64], 0, 0)}), "64 bits"),
    "true as a count": (of({"a": entry("U8", [True], 0, 1)}, b"1"), "shape"),
    "a tensor twice": (a_file(f'{{"a":{F32},"a":{F32}}}', b"1234"), "twice"),
    "a field twice": (
        a_file('{"a":{"dtype":"U8",' + F32[1:] + "}", b"1234"),
        "twice",
    ),
    "half a surrogate pair": (a_file('{"\\ud800":' + F32 + "}", b"1234"), "Unicode"),
    "metadata of numbers": (of({"__metadata__": {"a": 1}}), "__metadata__"),
    "metadata of half a pair": (
        a_file('{"__metadata__":{"a":"\\udc00"}}'),
        "__metadata__",
    ),
    "a tensor that is text": (of({"a": "b"}), "not a JSON object"),
    "an unknown dtype": (of({"a": entry("F33", [1], 0, 4)}, b"1234"), "dtype"),
    "a dtype in lower case": (of({"a": entry("f32", [1], 0, 4)}, b"1234"), "dtype"),
    "a dtype that is a list": (of({"a": entry([], [1], 0, 4)}, b"1234"), "dtype"),  # type: ignore[arg-type]
    "no shape": (of({"a": {"dtype": "U8", "data_offsets": [0, 1]}}, b"1"), "shape"),
    "no offsets": (of({"a": {"dtype": "U8", "shape": [1]}}, b"1"), "data_offsets"),
    "three offsets": (
        of({"a": {**ALONE["a"], "data_offsets": [0, 4, 4]}}, b"1234"),
        "data_offsets",
    ),
    "a shape of another size": (of({"a": entry("F32", [2], 0, 4)}, b"1234"), "8 bytes"),
    "offsets the wrong way round": (of({"a": entry("U8", [4], 4, 0)}, b"1234"), "4 to"),
    "half a byte": (of({"a": entry("F4", [7], 0, 4)}, b"1234"), "whole byte"),
    "a shape that overflows": (
        of({"a": entry("F32", [1 << 62, 8, 0], 0, 0)}),
        "beyond 64 bits",
    ),
    "a hole before the first": (of({"a": entry("U8", [1], 1, 2)}, b"12"), "hole"),
    "a hole between two": (
        of({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, b"123"),
        "hole at byte 1",
    ),
    "an overlap": (
        of({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"123"),
        "overlap at byte 1",
    ),
    "data behind the last": (of(ALONE, b"12345"), "end at byte 4, the data at 5"),
    "data cut off": (of(ALONE, b"123"), "end at byte 4, the data at 3"),
}
# The reference keeps the last of two equal tensor names; we do not guess.
STRICTER = {"a tensor twice"}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_with_its_reason_and_the_file(lie: str):
    content, reason = LIES[lie]

    with pytest.raises(SourceContentError) as caught:
        read(content)

    assert reason in caught.value.message
    assert "w.safetensors" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("lie", sorted(set(LIES) - STRICTER))
def test_the_reference_refuses_these_lies_too(lie: str):
    assert not the_reference_accepts(LIES[lie][0])


@pytest.mark.parametrize("dtype", sorted(BITS))
def test_every_dtype_has_the_size_that_the_reference_gives_it(dtype: str):
    size = BITS[dtype]

    good = of({"a": entry(dtype, [8], 0, size)}, bytes(size))
    bad = of({"a": entry(dtype, [8], 0, size + 1)}, bytes(size + 1))

    assert read(good).tensors[0].count == 8
    assert the_reference_accepts(good)
    assert not the_reference_accepts(bad)


def test_no_dtype_of_the_reference_is_missing():
    with pytest.raises(SafetensorError) as caught:
        deserialize(of({"a": entry("none such", [8], 0, 8)}, bytes(8)))

    listed = str(caught.value).split("expected one of")[1].split("at line")[0]
    theirs = {name.strip(" `") for name in listed.split(",")}
    assert theirs == set(BITS)


def test_wherever_a_byte_of_the_header_changes_we_are_as_strict_as_the_reference():
    arrays = {"a": numpy.zeros((2, 3), "float32"), "b": numpy.zeros(5, "int64")}
    good = save(arrays, metadata={"format": "pt"})
    size = read(good).header_size
    choice = random.Random(1)
    refused = 0

    for at in range(size):
        for value in {*choice.sample(range(256), 6), *b'"0,[{}\\'}:
            content = bytearray(good)
            content[at] = value
            refused += _agree(bytes(content))

    assert refused > size


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=3),
        st.builds(
            entry,
            st.sampled_from([*sorted(BITS), "F9"]),
            st.lists(st.integers(0, 4), max_size=3),
            st.integers(0, 12),
            st.integers(0, 24),
        ),
        max_size=3,
    ),
    st.integers(0, 24),
)
def test_for_any_header_we_say_what_the_reference_says(
    entries: dict[str, Any], data: int
):
    _agree(of(entries, bytes(data)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(sorted(BITS)), max_size=6), st.randoms())
def test_any_honest_file_is_accepted(dtypes: list[str], shuffle: random.Random):
    at, entries = 0, []
    for number, dtype in enumerate(dtypes):
        size = BITS[dtype] * number
        entries.append((f"t{number}", entry(dtype, [8, number], at, at + size)))
        at += size
    shuffle.shuffle(entries)

    content = of(dict(entries), bytes(at))

    assert the_reference_accepts(content)
    assert {t.name for t in read(content).tensors} == {name for name, _ in entries}


def _agree(content: bytes) -> bool:
    """Hold our opinion against the reference's; say whether it was no."""
    accepted = the_reference_accepts(content)
    try:
        header = read(content)
    except SourceContentError as error:
        assert not accepted or "twice" in error.message, error.message
        return True
    assert accepted, content[:200]
    assert {t.name for t in header.tensors} == {n for n, _ in deserialize(content)}
    return False
