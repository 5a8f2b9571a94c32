"""Pickles and code in a model are found by name and content, and told at once."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from typing import Any

import numpy
import pytest
from sealift_bundler.models.content_policy import check_content, find_content
from sealift_bundler.models.facts import model_facts
from sealift_bundler.models.files import ModelFile
from sealift_manifests.errors import SourceContentError


def a_file(path: str, content: bytes | str | dict[str, Any] = b"") -> ModelFile:
    if isinstance(content, dict):
        content = json.dumps(content)
    data = content.encode() if isinstance(content, str) else content
    return ModelFile(path, len(data), lambda: io.BytesIO(data))


def kinds(*files: ModelFile) -> list[tuple[str, str]]:
    return [(found.path, found.kind) for found in find_content(files)]


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    numpy.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    numpy.savez(stream, allow_pickle=True, **arrays)
    return stream.getvalue()


def a_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return stream.getvalue()


def a_tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"))
    return stream.getvalue()


OBJECTS = numpy.array([{}, None], dtype=object)
RECORDS = numpy.zeros(2, dtype=[("a", "f4"), ("b", [("c", "i2"), ("d", "O")])])
PLAIN_RECORDS = numpy.zeros(2, dtype=[("a", "f4"), ("O", [("c", "i2", (3,))])])


def test_an_ordinary_model_has_nothing_to_be_found():
    files = [
        a_file("config.json", {"model_type": "llama", "auto_map": {}}),
        a_file("model.safetensors", b"\x02"),
        a_file("tokenizer.json", "{not even JSON"),
        a_file("README.md", "import os"),
        a_file(".py", "hidden, no extension"),
    ]

    assert kinds(*files) == []
    assert check_content(files) == ()


@pytest.mark.parametrize(
    "name", ["a.pt", "a.pth", "a.ckpt", "x/a.pkl", "a.PICKLE", "a.joblib"]
)
def test_a_file_named_as_pickled_is_a_pickle_whatever_it_holds(name: str):
    assert kinds(a_file(name, b"harmless")) == [(name, "pickle")]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_in_a_bin_file_is_found(protocol: int):
    assert kinds(a_file("pytorch_model.bin", pickle.dumps({}, protocol=protocol)))


@pytest.mark.parametrize("content", [a_zip(), a_tar()], ids=["zip", "tar"])
def test_an_archive_in_a_bin_file_is_taken_for_a_pickle(content: bytes):
    assert kinds(a_file("model.bin", content)) == [("model.bin", "pickle")]


@pytest.mark.parametrize("content", [b"", b"GGUF\x03", bytes(600), b"\x80\x80\x02"])
def test_a_bin_file_of_anything_else_is_no_pickle(content: bytes):
    assert kinds(a_file("model.bin", content)) == []


@pytest.mark.parametrize("array", [OBJECTS, RECORDS])
def test_arrays_of_objects_are_pickles(array: Any):
    assert kinds(a_file("a.npy", npy(array))) == [("a.npy", "pickle")]
    assert kinds(a_file("a.npz", npz(good=numpy.zeros(2), bad=array)))


@pytest.mark.parametrize("array", [numpy.zeros(3), PLAIN_RECORDS, numpy.array("O")])
def test_arrays_of_numbers_and_text_are_not(array: Any):
    assert kinds(a_file("a.npy", npy(array)), a_file("a.npz", npz(a=array))) == []


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps([]),
        b"",
        b"pickle" + npy(numpy.zeros(2))[6:],
        b"\x93NUMPY\x01\x00\x05\x00{'de",
        npy(numpy.zeros(2)).replace(b"'descr'", b"'dxscr'"),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
    ],
)
def test_an_array_file_that_cannot_be_looked_into_counts_as_a_pickle(content: bytes):
    assert kinds(a_file("a.npy", content)) == [("a.npy", "pickle")]
    assert kinds(a_file("a.npz", content)) == [("a.npz", "pickle")]


@pytest.mark.parametrize("name", ["modeling_x.py", "sub/X.PY", "kernel.so", "a.pyc"])
def test_code_is_found_by_name(name: str):
    assert kinds(a_file(name)) == [(name, "code")]


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
        "deep/config.json",
    ],
)
def test_auto_map_is_found_at_any_depth(name: str):
    nested = {"text_config": {"auto_map": {"AutoModel": "modeling_x.X"}}}

    assert kinds(a_file(name, nested)) == [(name, "code")]


def test_auto_map_does_not_hide_behind_a_second_one():
    config = '{"auto_map": {"AutoConfig": "evil.Config"}, "auto_map": {}}'

    assert kinds(a_file("config.json", config)) == [("config.json", "code")]


def test_a_configuration_that_is_not_json_counts_as_code():
    deep = '{"a":' * 100_000

    assert kinds(a_file("config.json", "{auto_map")) == [("config.json", "code")]
    assert kinds(a_file("config.json", deep)) == [("config.json", "code")]


def test_all_that_is_refused_is_told_at_once_with_the_key_that_allows_it():
    files = [
        a_file("b.pt"),
        a_file("a.py"),
        a_file("config.json", {"auto_map": {"AutoModel": "a.M"}}),
    ]

    with pytest.raises(SourceContentError) as caught:
        check_content(files, model="chat")

    assert "chat" in caught.value.message
    for path in ("b.pt", "a.py", "config.json"):
        assert path in caught.value.message
    assert "allow: [pickle, code]" in caught.value.hint


def test_what_is_allowed_is_returned_and_the_rest_refused():
    files = [a_file("b.pt"), a_file("a.py"), a_file("c.txt")]

    assert check_content(files, frozenset(("pickle", "code"))) == ("a.py", "b.pt")
    with pytest.raises(SourceContentError) as caught:
        check_content(files, frozenset(("pickle",)))

    assert "a.py" in caught.value.message
    assert "b.pt" not in caught.value.message
    assert "allow: [pickle, code]" in caught.value.hint


def test_a_name_cannot_write_to_the_terminal():
    with pytest.raises(SourceContentError) as caught:
        check_content([a_file("\x1b[2Ja.py")])

    assert "\x1b" not in caught.value.message


def weights(dtype: str, *shape: int) -> bytes:
    array = {"w": numpy.zeros(shape, dtype)}
    from safetensors.numpy import save

    return save(array)


def index(*names: str) -> dict[str, Any]:
    return {"weight_map": {f"t{i}": name for i, name in enumerate(names)}}


def test_facts_count_parameters_per_type_and_bytes_of_all():
    files = [
        a_file("a.safetensors", weights("float16", 10, 10)),
        a_file("b.safetensors", weights("float32", 7)),
        a_file("note.txt", "12345"),
    ]

    facts = model_facts(files)

    assert facts["dtypes"] == {"F16": 100, "F32": 7}
    assert facts["parameters"] == 107
    assert facts["bytes"] == sum(file.size for file in files)
    assert facts["config"] == {}


def test_a_second_copy_of_the_weights_is_not_counted():
    shards = ["m-1.safetensors", "m-2.safetensors"]
    files = [a_file(name, weights("float16", 5)) for name in shards]
    files.append(a_file("consolidated.safetensors", weights("float16", 10)))
    files.append(a_file("onnx/model.safetensors", weights("float32", 10)))

    with_index = [*files, a_file("model.safetensors.index.json", index(*shards))]

    assert model_facts(with_index)["parameters"] == 10
    assert model_facts(files)["dtypes"] == {"F16": 20}


def test_missing_shards_are_named():
    files = [
        a_file("m-1.safetensors", weights("float16", 5)),
        a_file("model.safetensors.index.json", index("m-1.safetensors", "m-2.x")),
    ]

    with pytest.raises(SourceContentError, match=r"m-2\.x"):
        model_facts(files)


def test_an_index_without_any_of_its_shards_is_left_alone():
    files = [
        a_file("model.gguf", b"GGUF"),
        a_file("model.safetensors.index.json", index("m-1.safetensors")),
    ]

    assert model_facts(files)["parameters"] == 0


def test_a_lying_header_is_refused_even_where_it_is_not_counted():
    good = weights("float16", 5)
    files = [a_file("a.safetensors", good), a_file("x/b.safetensors", good + b"?")]

    with pytest.raises(SourceContentError, match=r"x/b\.safetensors"):
        model_facts(files)


def test_config_facts_come_from_the_text_part_of_a_multimodal_model():
    config = {
        "architectures": ["XForConditionalGeneration"],
        "model_type": "x",
        "hidden_size": 1,
        "torch_dtype": "bfloat16",
        "num_key_value_heads": [1, 2],
        "quantization_config": {"quant_method": "fp8"},
        "text_config": {"hidden_size": 4096, "num_hidden_layers": 32, "head_dim": None},
    }

    facts = model_facts([a_file("config.json", config)])["config"]

    assert facts == {
        "architectures": ["XForConditionalGeneration"],
        "model_type": "x",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "dtype": "bfloat16",
        "quant_method": "fp8",
    }


@pytest.mark.parametrize("content", ["{", "[]", '"x"'])
def test_a_config_that_is_no_json_object_is_refused(content: str):
    with pytest.raises(SourceContentError, match=r"config\.json"):
        model_facts([a_file("config.json", content)])
