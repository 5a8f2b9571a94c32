"""A real model, from a Hub to the client library on the offline host.

The Hub is on loopback; the client on both sides is the real huggingface_hub.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import hosts
import pytest
from hubserver import HubServer
from making import (
    NO_ENGINE,
    PYZ,
    Host,
    Key,
    Outcome,
    a_key,
    a_spec,
    build,
    flip,
    model_files,
    read_only,
    sealift,
)
from safetensors.numpy import load_file
from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust

REAL, TINY, TAG = "sentence-transformers/minilm", "acme/tiny", "v2.0"
TOKEN = "hf_WhatNobodyElseMayRead"
SOURCE_CONTENT, LOCK_DRIFT, NO_ACCESS = 25, 26, 20

_OPEN = """
import hashlib, json, sys
from huggingface_hub import hf_hub_download, snapshot_download
from safetensors.numpy import load_file
repo, tag = sys.argv[1:]
by_tag, by_default = snapshot_download(repo, revision=tag), snapshot_download(repo)
tensors = load_file(hf_hub_download(repo, "model.safetensors"))
print(json.dumps({
    "snapshots": [by_tag, by_default],
    "pooling": open(hf_hub_download(repo, "1_Pooling/config.json")).read(),
    "tensors": {
        name: [str(t.dtype), list(t.shape), hashlib.sha256(t.tobytes()).hexdigest()]
        for name, t in tensors.items()
    },
}))
"""


@dataclass(frozen=True)
class Site:
    """A place to build in, with a key and settings of its own."""

    root: Path
    key: Key

    @property
    def output(self) -> Path:
        return self.root / "out"

    @property
    def lock(self) -> Path:
        return self.root / "spec/sealift.lock.json"

    def env(self, hub: HubServer, **more: str) -> Mapping[str, str]:
        """Point the client at `hub`, away from what the developer is logged in to."""
        own = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": f"{self.root / 'hf'}"}
        return {**own, "HF_TOKEN": "", **more}

    def spec(self, repo: str, revision: str = TAG, version: str = "1.0.0") -> Path:
        """Write a spec that carries `repo` as a Hub cache."""
        model = {"huggingface": repo, "revision": revision, "layout": "hf-cache"}
        spec_dir, models = self.root / "spec", {"chat": model}
        return a_spec(spec_dir, "hub", version=version, models=models)

    def try_build(
        self, spec: Path, hub: HubServer, *options: str, **env: str
    ) -> Outcome:
        """Run `sealift build` and return how it ended."""
        return sealift(
            *("build", spec, "-q", "--sign-key", self.key.private, *options),
            *("-o", self.output, "--cache", spec.parent / "cache"),
            env=self.env(hub, **env),
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, a_key(tmp_path / "release"))


@pytest.fixture
def tiny_hub() -> Iterator[HubServer]:
    with HubServer({}) as hub:
        hub.commit(TINY, model_files(), name=TAG)
        yield hub


@dataclass(frozen=True)
class Arrived:
    """The real model on the offline host."""

    bundle: Path
    host: Host
    commit: str

    @property
    def tree(self) -> Path:
        (tree,) = (self.host.state / "volumes/chat").iterdir()
        return tree


@pytest.fixture(scope="module")
def arrived(
    hub_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arrived]:
    root = tmp_path_factory.mktemp("real-model")
    site = Site(root, a_key(root / "release"))
    with HubServer({}) as hub:
        commit = hub.commit(REAL, files_of(hub_model_dir), name=TAG)
        bundle = build(site.spec(REAL), site.key, site.output, env=site.env(hub))
    host = Host(root / "host", bundle / PYZ, engine=NO_ENGINE)
    host.run("install", bundle, "--key", site.key.public).expect(0)
    yield Arrived(bundle, host, commit)


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files below a folder by relative path."""
    return {
        p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()
    }


def opened_offline(arrived: Arrived, network: hosts.NoNetwork, home: Path) -> Outcome:
    """Open the tree as a container would: read-only, and with no network."""
    env = {"HF_HUB_CACHE": str(arrived.tree), "HF_HUB_OFFLINE": "1"}
    mounted = read_only(arrived.tree) if hosts.is_root() else nullcontext()
    with mounted:
        done = network.run(
            [sys.executable, "-c", _OPEN, REAL, TAG],
            env={**env, "HF_HOME": str(home), "PATH": "/usr/bin:/bin"},
        )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_the_client_library_opens_it_offline_and_the_tensors_are_those_of_the_original(
    arrived, hub_model_dir, no_network, tmp_path
):
    original = load_file(hub_model_dir / "model.safetensors")

    said = opened_offline(arrived, no_network, tmp_path).expect(0).facts

    repo = arrived.tree / f"models--{REAL.replace('/', '--')}"
    assert said["snapshots"] == [str(repo / "snapshots" / arrived.commit)] * 2
    assert said["pooling"] == (hub_model_dir / "1_Pooling/config.json").read_text()
    assert said["tensors"] == {
        name: [str(t.dtype), list(t.shape), hashlib.sha256(t.tobytes()).hexdigest()]
        for name, t in original.items()
    }


def test_every_file_of_the_snapshot_is_that_of_the_original(arrived, hub_model_dir):
    (snapshot,) = arrived.tree.glob("models--*/snapshots/*")

    assert {name: p.read_bytes() for name, p in files_of(snapshot).items()} == {
        name: p.read_bytes() for name, p in files_of(hub_model_dir).items()
    }


def test_the_weights_travel_in_less_space_and_an_audit_is_clean(arrived, hub_model_dir):
    original = sum(path.stat().st_size for path in files_of(hub_model_dir).values())
    packs = sum(path.stat().st_size for path in arrived.bundle.glob("*.pack"))

    assert packs < 0.95 * original
    arrived.host.run("audit").expect(0, "clean: hub 1.0.0, 13 weight files")


def test_drift_in_a_hub_cache_is_told_by_the_files_own_name(arrived):
    (link,) = arrived.tree.glob("models--*/snapshots/*/config.json")
    blob = link.resolve()
    flip(blob)

    try:
        told = arrived.host.run("audit")
    finally:
        flip(blob)

    told.expect(50, "changed: model chat (config.json)", str(blob))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.txt"])
def test_wrong_bytes_of_the_right_size_are_caught_and_the_next_build_fetches_them_anew(
    site, tiny_hub, name
):
    tiny_hub.commit(TINY, model_files() | {"vocab.txt": b"a\nb\n"}, name=TAG)
    tiny_hub.wrong_bytes.add(name)

    failed = site.try_build(site.spec(TINY), tiny_hub)

    failed.expect(SOURCE_CONTENT, f"{name} of {TINY} is not the file of commit")
    assert [p.name for p in site.output.iterdir() if p.name[0] != "."] == []
    assert not site.lock.exists()

    tiny_hub.wrong_bytes.clear()
    site.try_build(site.spec(TINY), tiny_hub).expect(0)


def test_a_private_repo_needs_the_token_and_the_token_is_in_no_file(site, tiny_hub):
    tiny_hub.token = TOKEN
    spec = site.spec(TINY)

    site.try_build(spec, tiny_hub).expect(NO_ACCESS, "HF_TOKEN")
    built = site.try_build(spec, tiny_hub, HF_TOKEN=TOKEN).expect(0)

    assert TOKEN not in built.said
    written = {path: path.read_bytes() for path in files_of(site.root).values()}
    assert {"index.json", "sealift.lock.json", "data-0001.pack"} <= {
        path.name for path in written
    }
    assert [path for path, data in written.items() if TOKEN.encode() in data] == []
    for content in contents_of(site):
        assert TOKEN.encode() not in content


def test_the_token_is_not_sent_to_another_host_than_the_hub(site, tiny_hub):
    tiny_hub.token = TOKEN

    site.try_build(site.spec(TINY), tiny_hub, HF_TOKEN=TOKEN).expect(0)

    from_cdn = [r for r in tiny_hub.requests if r.path.startswith("/cdn/")]
    assert from_cdn
    assert [r for r in from_cdn if "authorization" in r.headers] == []


def contents_of(site: Site) -> Iterator[bytes]:
    """Decode everything in the one bundle of a site."""
    (bundle,) = (path for path in site.output.iterdir() if path.is_dir())
    trust = Trust.from_key_file(site.key.public.read_text(), "the key")
    with Media([str(bundle)]) as media:
        opened = open_bundle(media, trust, datetime.now(UTC))
        for digest in opened.index.contents:
            yield b"".join(bytes(part) for part in opened.read_content(digest))


def test_a_tag_that_moved_is_followed_only_when_asked_to(site, tiny_hub):
    pinned = tiny_hub.commit_of(TINY, TAG)
    site.try_build(site.spec(TINY), tiny_hub).expect(0)
    moved = tiny_hub.commit(TINY, model_files("b"), name=TAG)

    site.try_build(site.spec(TINY, version="2"), tiny_hub).expect(0)
    site.try_build(site.spec(TINY, version="3"), tiny_hub, "--locked").expect(0)
    site.try_build(site.spec(TINY, version="4"), tiny_hub, "--update").expect(0)

    assert pinned != moved
    assert [commit_in(site.output / f"hub-{n}") for n in ("1.0.0", "2", "3", "4")] == [
        *(pinned, pinned, pinned),
        moved,
    ]
    assert moved in site.lock.read_text()


def test_a_locked_build_refuses_another_revision_than_the_lock_has(site, tiny_hub):
    site.try_build(site.spec(TINY), tiny_hub).expect(0)
    tiny_hub.commit(TINY, model_files("b"), name="v3.0")
    lock = site.lock.read_bytes()
    asked = len(tiny_hub.requests)

    refused = site.try_build(site.spec(TINY, "v3.0", "2"), tiny_hub, "--locked")

    refused.expect(LOCK_DRIFT, "models.chat", "v3.0", TAG)
    assert site.lock.read_bytes() == lock
    assert len(tiny_hub.requests) == asked
    assert not (site.output / "hub-2").exists()


def commit_in(bundle: Path) -> str:
    """Return the commit that a bundle says its model is."""
    (model,) = json.loads((bundle / "manifest.json").read_bytes())["models"]
    return str(model["source"]["commit"])
