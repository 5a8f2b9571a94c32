"""A GGUF file is read for what sizes it, and one that lies or was cut is refused."""

from __future__ import annotations

import io
import struct
import tracemalloc
from typing import Any

import pytest
from gguf_making import LLAMA, a_gguf, pair, text
from hypothesis import given, settings
from hypothesis import strategies as st
from sealift_bundler.models.facts import model_facts
from sealift_bundler.models.files import ModelFile
from sealift_bundler.models.gguf_header import GgufHeader, read_gguf
from sealift_bundler.models.serving import serving_needs
from sealift_manifests.errors import SourceContentError
from sealift_manifests.preflight.needs import DtypeSize, ModelNeeds

TENSORS = {"token_embd.weight": ("Q4_K", [256, 8]), "norm.weight": ("F32", [12])}
SHA = "0" * 64


def read(data: bytes, size: int | None = None) -> GgufHeader | None:
    return read_gguf(io.BytesIO(data), len(data) if size is None else size, "m.gguf")


def a_file(path: str, data: bytes) -> ModelFile:
    return ModelFile(path, len(data), lambda: io.BytesIO(data))


def shape(**metadata: Any) -> ModelNeeds:
    """Return what is read of a Llama with some values changed; None leaves one out."""
    values = {**LLAMA, **{k.replace("__", "."): v for k, v in metadata.items()}}
    known = {key: value for key, value in values.items() if value is not None}
    return serving_needs("m", [a_file("m.gguf", a_gguf(known))])


@pytest.mark.parametrize("version", [2, 3])
def test_a_header_gives_values_and_tensors(version):
    words = {"tokenizer.ggml.tokens": ["a", "b"] * 5000, "x.scale": 0.5}
    header = read(a_gguf({**LLAMA, **words, "x.on": True}, TENSORS, version=version))

    assert header is not None and header.version == version
    assert header.metadata["llama.block_count"] == 32
    assert header.metadata["x.on"] == 1
    assert "tokenizer.ggml.tokens" not in header.metadata
    assert [(t.name, t.dtype, t.count, t.size) for t in header.tensors] == [
        ("token_embd.weight", "Q4_K", 2048, 8 * 144),
        ("norm.weight", "F32", 12, 48),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"version https://git-lfs.github.com/spec/v1\n",
        a_gguf(LLAMA, version=1),
        a_gguf(LLAMA, version=4),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    ],
)
def test_what_is_of_another_form_is_not_known(data):
    assert read(data) is None


def _with(tail: bytes, *, tensors: int = 0, pairs: int = 1) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + tail


UNTRUE = {
    "cut short in its data": (a_gguf(LLAMA, TENSORS)[:-1], "cut short"),
    "cut short in its header": (a_gguf(LLAMA, TENSORS)[:200], "header"),
    "cut short in a list": (_with(text("k") + struct.pack("<IIQ", 9, 5, 9)), "ends"),
    "cut in a long text": (
        _with(text("k") + struct.pack("<IIQ", 9, 8, 1) + text("x" * 99)[:50]),
        "ends in",
    ),
    "a key twice": (_with(pair("k", 1) * 2, pairs=2), "twice"),
    "a key without end": (_with(struct.pack("<Q", 1 << 40)), "a text of"),
    "a key that is no text": (_with(struct.pack("<Q", 1) + b"\xff" + b"0" * 9), "UTF"),
    "too many values": (_with(b"", pairs=1 << 40), "values"),
    "too many tensors": (_with(b"", pairs=0, tensors=1 << 40), "tensors"),
    "a value of no type": (_with(text("k") + struct.pack("<I", 13)), "type 13"),
    "a list of lists": (_with(text("k") + struct.pack("<IIQ", 9, 9, 1)), "type 9"),
    "a list without end": (
        _with(text("k") + struct.pack("<IIQ", 9, 5, 1 << 50)),
        "items",
    ),
    "an alignment of nought": (
        _with(pair("general.alignment", 0)),
        "alignment",
    ),
    "nine dimensions": (
        _with(text("t") + struct.pack("<I", 9), tensors=1, pairs=0),
        "9 dimensions",
    ),
    "half a block": (
        _with(text("t") + struct.pack("<IQIQ", 1, 100, 12, 0), tensors=1, pairs=0),
        "whole blocks",
    ),
    "one tensor on another": (
        _with(
            text("a")
            + struct.pack("<IQIQ", 1, 64, 0, 0)
            + text("b")
            + struct.pack("<IQIQ", 1, 64, 0, 128)
            + bytes(1000),
            tensors=2,
            pairs=0,
        ),
        "lies on",
    ),
}


@pytest.mark.parametrize(("data", "why"), UNTRUE.values(), ids=UNTRUE)
def test_a_header_that_lies_is_refused(data, why):
    with pytest.raises(SourceContentError, match=rf"m\.gguf is untrue: .*{why}"):
        read(data)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_file_it_is_read_or_refused(data):
    whole = bytearray(a_gguf({**LLAMA, "k": ["a", "b"], "n": [1, 2]}, TENSORS))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(
            st.integers(0, 255)
        )
    try:
        read(bytes(whole), data.draw(st.sampled_from([len(whole), 1 << 40])))
    except SourceContentError:
        pass


def test_a_large_vocabulary_takes_no_memory():
    words = [f"word {number}" for number in range(100_000)]
    data = a_gguf({**LLAMA, "tokenizer.ggml.tokens": words}, TENSORS)
    stream = io.BytesIO(data)

    tracemalloc.start()
    read_gguf(stream, len(data), "m.gguf")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(data) > 1_500_000
    assert most < 100_000


def test_a_model_is_sized_by_its_header():
    data = a_gguf(LLAMA, TENSORS)
    file = a_file("llama-Q4_K_M.gguf", data)
    facts = model_facts([file])

    assert (facts["parameters"], facts["dtypes"]) == (2060, {"F32": 12, "Q4_K": 2048})
    assert serving_needs("chat", [file], facts["dtypes"]) == ModelNeeds(
        name="chat",
        weights_size=len(data),
        sizes=(DtypeSize("F32", 48), DtypeSize("Q4_K", 1152)),
        layers=32,
        heads=32,
        kv_heads=8,
        hidden_size=4096,
        kv_lora_rank=0,
        sliding_window=0,
        stateful_layers=0,
        max_positions=131072,
        quantization="Q4_K_M",
        format="gguf",
    )


def test_heads_of_their_own_width_are_heeded():
    found = shape(llama__attention__key_length=192, llama__attention__value_length=128)

    assert (found.head_dim, found.value_head_dim) == (192, 128)


def test_layers_without_key_value_heads_keep_a_state():
    heads = [8, 0, 0, 8] * 8

    assert shape(llama__attention__head_count_kv=heads).stateful_layers == 16
    assert shape(llama__attention__head_count_kv=heads).kv_heads == 8
    assert shape(llama__ssm__state_size=16).stateful_layers is None


@pytest.mark.parametrize(
    "changed",
    [
        {"llama__attention__head_count_kv": [8, 4] * 16},
        {"llama__attention__kv_lora_rank": 512},
        {"llama__attention__head_count": None, "llama__attention__head_count_kv": None},
    ],
)
def test_a_cache_of_which_not_all_is_told_is_unknown(changed):
    assert shape(**changed).kv_lora_rank is None


@pytest.mark.parametrize(
    ("pattern", "sliding"),
    [
        (None, None),
        (4, 24),
        (1, 0),
        (0, 32),
        ([True, False] * 16, 16),
        ([True, False], None),
    ],
)
def test_sliding_layers_are_counted_where_the_file_tells_them(pattern, sliding):
    found = shape(
        llama__attention__sliding_window=512,
        llama__attention__sliding_window_pattern=pattern,
    )

    assert (found.sliding_window, found.sliding_layers) == (512, sliding)


def test_gemma_3_sees_everything_in_every_sixth_layer_though_no_file_says_so():
    values = {
        "general.architecture": "gemma3",
        "gemma3.block_count": 18,
        "gemma3.attention.head_count": 4,
        "gemma3.attention.head_count_kv": 1,
        "gemma3.attention.sliding_window": 512,
    }
    found = serving_needs("m", [a_file("m.gguf", a_gguf(values))])

    assert (found.layers, found.sliding_layers) == (18, 15)


def test_parts_are_one_model_and_the_first_says_what_it_is():
    first = a_file("m-00001-of-00002.gguf", a_gguf(LLAMA, {"a": ("F16", [32])}))
    second = a_file(
        "m-00002-of-00002.gguf", a_gguf({"split.no": 1}, {"b": ("F16", [64])})
    )

    found = serving_needs("m", [second, first])

    assert (found.layers, found.weights_size) == (32, first.size + second.size)
    assert model_facts([second, first])["parameters"] == 96


def test_what_goes_beside_a_model_is_not_weighed():
    model = a_file("m.gguf", a_gguf(LLAMA))
    clip = a_file("vision.gguf", a_gguf({"general.architecture": "clip"}))
    lora = a_file("lora.gguf", a_gguf({**LLAMA, "general.type": "adapter"}))

    assert serving_needs("m", [model, clip, lora]).weights_size == model.size


def test_several_models_are_choices_and_none_is_taken():
    files = [a_file(f"{name}.gguf", a_gguf(LLAMA, TENSORS)) for name in "ab"]

    found = serving_needs("m", files)

    assert (found.weights_size, found.layers, found.format) == (None, None, "gguf")
    assert model_facts(files)["parameters"] == 0


def test_the_blobs_of_an_ollama_store_are_looked_into():
    model = a_file(f"blobs/sha256-{SHA}", a_gguf(LLAMA))
    other = a_file(f"blobs/sha256-{SHA[:-1]}1", b'{"license": "..."}')

    found = serving_needs("m", [model, other])

    assert (found.weights_size, found.layers) == (model.size, 32)


def test_the_header_counts_and_not_a_config_beside_it():
    config = a_file("config.json", b'{"num_hidden_layers": 99, "head_dim": 7}')

    found = serving_needs("m", [a_file("m.gguf", a_gguf(LLAMA)), config])

    assert (found.layers, found.head_dim) == (32, None)


def test_a_file_that_was_cut_short_stops_the_facts():
    with pytest.raises(SourceContentError, match="cut short"):
        model_facts([a_file("m.gguf", a_gguf(LLAMA, TENSORS)[:-1])])
