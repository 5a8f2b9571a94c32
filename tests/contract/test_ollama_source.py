"""Ollama's models cross the gap: from a real registry and out of a store."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key
from ollama_models import make_model, push, write_store
from registries import Registry, running_registry

CHAT = make_model("chat", template=b"{{ .Prompt }}", license=b"MIT")
EMBED = make_model("embed", license=b"MIT")
HOME = "registry.ollama.ai/library"

pytestmark = pytest.mark.usefixtures("no_login")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        push(running, "acme/chat", "1b-q4", CHAT)
        push(running, "acme/embed", "v1", EMBED)
        yield running


def build(folder: Path, key: Key, ollama: object, *options: str) -> making.Outcome:
    """Build a bundle whose one model is this."""
    spec = making.a_spec(folder, "acme", models={"store": {"ollama": ollama}})
    return making.sealift(
        *("build", spec, "--sign-key", key.private, "-o", folder / "out"),
        *("--cache", folder / "cache", *options),
    )


def tree_on_host(folder: Path, key: Key) -> Path:
    """Install the bundle on a host; return what a container mounts."""
    bundle = folder / "out/acme-1.0.0"
    host = Host(folder / "host", bundle / PYZ, NO_ENGINE)
    host.run("install", bundle, "--key", key.public).expect(0)
    (tree,) = (host.state / "volumes/store").iterdir()
    return tree


def files(root: Path) -> dict[str, bytes]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_models_from_a_registry_stand_on_the_host_as_one_store(registry, key, tmp_path):
    names = [f"{registry.host}/acme/{name}" for name in ("chat:1b-q4", "embed:v1")]

    build(tmp_path, key, names, "--insecure-registry", registry.host).expect(0)
    tree = tree_on_host(tmp_path, key)

    at_host = f"{registry.host}/acme"
    expected = write_store(
        tmp_path / "expected",
        {f"{at_host}/chat/1b-q4": CHAT, f"{at_host}/embed/v1": EMBED},
    )
    assert files(tree) == files(expected)
    for blob in (tree / "blobs").iterdir():
        assert blob.name == f"sha256-{hashlib.sha256(blob.read_bytes()).hexdigest()}"


def test_one_model_of_a_store_is_taken_with_only_its_blobs(key, tmp_path):
    store = {f"{HOME}/chat/1b": CHAT, f"{HOME}/embed/v1": EMBED}
    write_store(tmp_path / "models", store)

    build(tmp_path, key, {"store": "models", "model": "chat:1b"}).expect(0)

    expected = write_store(tmp_path / "expected", {f"{HOME}/chat/1b": CHAT})
    assert files(tree_on_host(tmp_path, key)) == files(expected)


def test_a_model_that_a_store_lacks_is_named_beside_those_it_has(key, tmp_path):
    write_store(tmp_path / "models", {f"{HOME}/embed/v1": EMBED})

    failed = build(tmp_path, key, {"store": "models", "model": "chat:1b"})

    failed.expect(21, "chat:1b is not in the Ollama store", "models there: embed:v1")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda blob: blob.unlink(), "No such file"),
        (lambda blob: blob.write_bytes(blob.read_bytes()[:-1]), "bytes, not"),
        (making.flip, "holds other bytes than its name says"),
    ],
    ids=["missing", "cut", "flipped"],
)
def test_a_damaged_blob_of_a_store_never_gets_into_a_bundle(
    key, tmp_path, damage, words
):
    write_store(tmp_path / "models", {f"{HOME}/chat/1b": CHAT})
    damage(max((tmp_path / "models/blobs").iterdir(), key=lambda p: p.stat().st_size))

    failed = build(tmp_path, key, {"store": "models", "model": "chat:1b"})

    failed.expect(25, words)
    assert not (tmp_path / "out/acme-1.0.0").exists()


def test_a_tag_that_moved_is_noticed_and_taken_only_when_asked(key, tmp_path):
    with running_registry(tmp_path) as registry:
        name = push(registry, "acme/chat", "1b", CHAT)
        insecure = ("--insecure-registry", registry.host)
        build(tmp_path, key, name, *insecure).expect(0)
        pins = json.loads((tmp_path / "sealift.lock.json").read_bytes())["ollama"]
        push(registry, "acme/chat", "1b", EMBED)
        shutil.rmtree(tmp_path / "cache")

        moved = making.sealift("plan", tmp_path / "sealift.yaml", *insecure)
        shutil.rmtree(tmp_path / "out")
        updated = build(tmp_path, key, name, *insecure, "--update")

    assert [pin["reference"] for pin in pins] == [name]
    moved.expect(26, "means another model now", "--update")
    updated.expect(0)


def test_a_pinned_model_in_the_cache_is_built_again_without_its_registry(key, tmp_path):
    with running_registry(tmp_path) as registry:
        name = push(registry, "acme/chat", "1b", CHAT)
        insecure = ("--insecure-registry", registry.host)
        build(tmp_path, key, name, *insecure).expect(0)
    shutil.rmtree(tmp_path / "out")

    build(tmp_path, key, name, *insecure, "--locked").expect(0)


def test_a_plan_says_what_a_model_comes_to_without_fetching_it(registry, tmp_path):
    spec = making.a_spec(
        tmp_path, "acme", models={"m": {"ollama": f"{registry.host}/acme/embed:v1"}}
    )

    planned = making.sealift(
        *("plan", spec, "--insecure-registry", registry.host, "--json"),
        *("--cache", tmp_path / "cache"),
    ).expect(0)

    size = len(EMBED.manifest) + sum(map(len, EMBED.blobs.values()))
    assert planned.facts["download"] == planned.facts["size"] == size
    assert not list((tmp_path / "cache").rglob("*"))
