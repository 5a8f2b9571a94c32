"""Models of Ollama made here, of a GGUF file and a Modelfile: what comes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import making
import pytest
from gguf_making import LLAMA, a_gguf
from making import NO_ENGINE, PYZ, Host, Key
from ollama_models import KIND, MadeModel, push
from registries import DOCKER_CONFIG, DOCKER_MANIFEST, running_registry, sha256

pytestmark = pytest.mark.usefixtures("no_login")

GGUF = a_gguf(LLAMA, {"token_embd.weight": ("F32", [64, 128])})
ADAPTER = a_gguf({"general.type": "adapter", "general.architecture": "llama"})
MODELFILE = '''FROM ./weights/model.gguf
ADAPTER ./lora.gguf
TEMPLATE """{{ .System }} {{ .Prompt }}"""
SYSTEM You are kind.
PARAMETER temperature 0.5
PARAMETER stop "User:"
LICENSE MIT
MESSAGE user hello
'''
PLACE = "manifests/registry.ollama.ai/acme/chat/1b"
WANTED = {
    "gguf": "weights/model.gguf",
    "modelfile": "Modelfile",
    "model": "acme/chat:1b",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"weights/model.gguf": GGUF, "lora.gguf": ADAPTER, "Modelfile": MODELFILE}
    return making.write_files(tmp_path / "work", files)


def build(folder: Path, key: Key, ollama: object, *options: str) -> making.Outcome:
    spec = making.a_spec(folder, "acme", models={"store": {"ollama": ollama}})
    return making.sealift(
        *("build", spec, "--sign-key", key.private, "-o", folder / "out"),
        *("--cache", folder / "cache", *options),
    )


def tree_of(folder: Path, key: Key, host: Path) -> Path:
    """Install the bundle on a host; return what a container mounts."""
    bundle = folder / "out/acme-1.0.0"
    made = Host(host, bundle / PYZ, NO_ENGINE)
    made.run("install", bundle, "--key", key.public).expect(0)
    (tree,) = (made.state / "volumes/store").iterdir()
    return tree


def blob(tree: Path, digest: str) -> bytes:
    data = (tree / "blobs" / digest.replace(":", "-")).read_bytes()
    assert sha256(data) == digest
    return data


def test_a_gguf_and_a_modelfile_make_what_ollama_create_makes(folder, key, tmp_path):
    build(folder, key, WANTED).expect(0)

    tree = tree_of(folder, key, tmp_path / "host")
    manifest = json.loads((tree / PLACE).read_bytes())
    layers = {
        layer["mediaType"]: blob(tree, layer["digest"]) for layer in manifest["layers"]
    }
    config = json.loads(blob(tree, manifest["config"]["digest"]))
    assert manifest["schemaVersion"] == 2
    assert manifest["mediaType"] == DOCKER_MANIFEST
    assert manifest["config"]["mediaType"] == DOCKER_CONFIG
    assert layers[f"{KIND}.model"] == GGUF
    assert layers[f"{KIND}.adapter"] == ADAPTER
    assert layers[f"{KIND}.template"] == b"{{ .System }} {{ .Prompt }}"
    assert layers[f"{KIND}.system"] == b"You are kind."
    assert layers[f"{KIND}.license"] == b"MIT"
    params = json.loads(layers[f"{KIND}.params"])
    assert params == {"temperature": 0.5, "stop": ["User:"]}
    messages = json.loads(layers[f"{KIND}.messages"])
    assert messages == [{"role": "user", "content": "hello"}]
    assert config == {
        "model_format": "gguf",
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": "8K",
        "file_type": "Q4_K_M",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {
            "type": "layers",
            "diff_ids": [layer["digest"] for layer in manifest["layers"]],
        },
    }
    blobs = {layer["digest"] for layer in manifest["layers"]}
    assert len(list((tree / "blobs").iterdir())) == len(blobs) + 1


def test_the_same_inputs_make_the_same_model_and_the_lock_pins_it(folder, key):
    build(folder, key, WANTED).expect(0)
    lock = (folder / "sealift.lock.json").read_bytes()
    shutil.rmtree(folder / "out")
    shutil.rmtree(folder / "cache")

    build(folder, key, WANTED, "--locked").expect(0)

    assert (folder / "sealift.lock.json").read_bytes() == lock
    making.flip(folder / "weights/model.gguf")
    shutil.rmtree(folder / "out")
    build(folder, key, WANTED, "--locked").expect(26, "models.store.ollama")


def test_a_registry_takes_the_model_and_gives_it_back_as_it_was(folder, key, tmp_path):
    build(folder, key, WANTED).expect(0)
    tree = tree_of(folder, key, tmp_path / "host")
    data = (tree / PLACE).read_bytes()
    manifest = json.loads(data)
    layers = {
        layer["mediaType"].removeprefix(f"{KIND}."): blob(tree, layer["digest"])
        for layer in manifest["layers"]
    }
    made = MadeModel(data, blob(tree, manifest["config"]["digest"]), layers)
    with running_registry(tmp_path) as registry:
        name = push(registry, "acme/chat", "1b", made)
        other = making.write_files(tmp_path / "other", {})

        build(other, key, name, "--insecure-registry", registry.host).expect(0)

    pulled = tree_of(other, key, tmp_path / "second")
    (path,) = (pulled / "manifests").rglob("1b")
    assert path.read_bytes() == data


def test_several_models_that_are_made_here_share_a_store(folder, key, tmp_path):
    alone = {"model": "plain:v1", "gguf": "weights/model.gguf"}

    said = build(folder, key, {"create": [WANTED, alone]}).expect(0)

    tree = tree_of(folder, key, tmp_path / "host")
    there = {str(p.relative_to(tree / "manifests")) for p in tree.rglob("1b")}
    there |= {str(p.relative_to(tree / "manifests")) for p in tree.rglob("v1")}
    assert there == {
        "registry.ollama.ai/acme/chat/1b",
        "registry.ollama.ai/library/plain/v1",
    }
    assert "plain:v1 has no TEMPLATE" in said.said


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("FROM llama3.2\n", 24, "Modelfile:1: llama3.2 is not a file"),
        ("FROM ./lora.gguf\n", 24, "Modelfile:1: lora.gguf is for ADAPTER"),
        ("SYSTEM hi\nTOOLS x\n", 24, "Modelfile:2: 'tools' is unknown"),
        ("FROM ./other.gguf\n", 24, "the spec names"),
        ("FROM ./Modelfile\n", 25, "is not a GGUF file"),
        ("FROM ./part.gguf\n", 25, "one part of a split model"),
    ],
)
def test_what_cannot_be_made_is_refused_with_its_line(folder, key, text, code, words):
    part = a_gguf({**LLAMA, "split.count": 2})
    files = {"Modelfile": text, "other.gguf": GGUF, "part.gguf": part}
    making.write_files(folder, files)

    build(folder, key, WANTED).expect(code, words)


def test_files_that_are_not_there_are_faults_of_the_spec(folder, key):
    wanted = {"create": [{**WANTED, "modelfile": "gone"}, {"model": "x:1"}]}

    failed = build(folder, key, wanted)

    failed.expect(24, "gone does not exist", "give gguf, modelfile, or both")
