"""Models go from a release into the store of an Ollama that stands outside Sealift."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key
from ollama_models import make_model, write_store

HOME = "registry.ollama.ai/library"
CHAT = make_model("chat", license=b"MIT")
OTHER = make_model("other", license=b"MIT")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    folder = tmp_path_factory.mktemp("merge")
    write_store(folder / "models", {f"{HOME}/chat/1b": CHAT})
    models = {"m": {"ollama": {"store": "models", "model": "chat:1b"}}}
    return making.build(making.a_spec(folder, "acme", models=models), key, folder)


@dataclass(frozen=True)
class Merging:
    """A host with the release, and a store that holds another model."""

    host: Host
    store: Path

    def merge(self, *options: str) -> making.Outcome:
        return self.host.run("ollama-merge", "--into", self.store, *options)


@pytest.fixture
def merging(tmp_path: Path, bundle: Path, key: Key) -> Merging:
    host = Host(tmp_path / "host", bundle / PYZ, NO_ENGINE)
    host.run("install", bundle, "--key", key.public).expect(0)
    return Merging(host, write_store(tmp_path / "ollama", {f"{HOME}/other/1b": OTHER}))


def files(root: Path) -> dict[str, bytes]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_a_model_joins_those_of_the_store_and_shared_blobs_are_not_copied(
    merging, tmp_path
):
    before = files(merging.store)

    done = merging.merge("--json").expect(0)

    both = {f"{HOME}/chat/1b": CHAT, f"{HOME}/other/1b": OTHER}
    assert files(merging.store) == files(write_store(tmp_path / "both", both))
    assert not set(done.facts["copied"]) & set(before)
    assert merging.host.ledger()[-1]["event"] == "ollama-merge"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_is_copied_belongs_to_the_owner_of_the_store(merging):
    os.chown(merging.store, 1234, 1235)

    merging.merge().expect(0)

    manifest = merging.store / "manifests" / HOME / "chat/1b"
    owners = {(p.stat().st_uid, p.stat().st_gid) for p in (manifest, manifest.parent)}
    assert owners == {(1234, 1235)}


def test_a_second_merge_copies_nothing_and_a_damaged_blob_is_brought_again(merging):
    merging.merge().expect(0)
    after = files(merging.store)

    merging.merge().expect(0, "0 files copied")
    for name in CHAT.blobs:
        making.flip(merging.store / "blobs" / name)
    merging.merge().expect(0, f"{len(CHAT.blobs)} files copied")

    assert files(merging.store) == after


def test_another_model_of_the_same_name_is_replaced_only_when_asked(merging):
    write_store(merging.store, {f"{HOME}/chat/1b": OTHER})
    before = files(merging.store)

    merging.merge().expect(42, f"{HOME}/chat/1b", "--replace")
    assert files(merging.store) == before

    merging.merge("--replace").expect(0)
    assert files(merging.store)[f"manifests/{HOME}/chat/1b"] == CHAT.manifest


def test_weights_that_were_changed_on_the_host_do_not_get_into_the_store(merging):
    (tree,) = (merging.host.state / "volumes/m").iterdir()
    making.flip(max((tree / "blobs").iterdir(), key=lambda p: p.stat().st_size))
    before = files(merging.store)

    merging.merge().expect(50, "is not what was signed", "--repair")

    left = files(merging.store)
    assert before.items() <= left.items()
    assert f"manifests/{HOME}/chat/1b" not in left
    assert not [name for name in left if name.endswith(".sealift")]


def test_a_store_that_is_not_there_and_a_bundle_without_models_are_told(
    merging, tmp_path, key
):
    merging.host.run("ollama-merge", "--into", tmp_path / "no").expect(
        42, "OLLAMA_MODELS"
    )
    spec = making.weights_spec(tmp_path / "plain", "plain")
    bundle = making.build(spec, key, tmp_path / "plain-out")
    merging.host.run("install", bundle, "--key", key.public).expect(0)

    plain = merging.host.run("ollama-merge", "plain", "--into", merging.store)

    plain.expect(45, "has no Ollama models")
