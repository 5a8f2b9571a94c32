"""The bundle that every version must read: kept as it was made, never made again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import make
import pytest
from making import PYZ, Host, a_key, sealift
from sealift_bundler.installer_zip import installer_bytes
from sealift_installer import store, trees
from sealift_installer.layout import Layout
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.digests import digest_of
from sealift_manifests.index import dump_index, parse_index
from sealift_manifests.media import Media
from sealift_manifests.model import dump_manifest, parse_manifest
from sealift_manifests.trees import format_listing, tree_of
from sealift_manifests.trust import Policy, Trust
from sealift_manifests.verify import measure
from staged import stage

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "bundle-v1"
KEYS = [HERE / "golden-ed25519.pub", HERE / "golden-p384.pub"]
NOW = datetime(2026, 2, 1, tzinfo=UTC)
BOTH = Trust.combined(
    [Trust.from_key_file(key.read_text(), key.name) for key in KEYS],
    Policy(threshold=2),
)


@pytest.fixture
def golden() -> Iterator[Bundle]:
    """The golden bundle, accepted because both keys signed it."""
    with Media([str(GOLDEN)]) as media:
        yield open_bundle(media, BOTH, NOW)


def content(bundle: Bundle, path: str, model: str) -> bytes:
    """Return a file of a model, decoded."""
    (entry,) = (m for m in bundle.manifest.models if m.name == model)
    (file,) = (f for f in entry.files if f.path == path)
    return b"".join(bytes(part) for part in bundle.read_content(file.digest))


def test_not_one_byte_of_it_has_changed():
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "--quiet", "all.sha256"],
        cwd=HERE,
        capture_output=True,
    )
    listed = {
        line[66:] for line in (HERE / "all.sha256").read_text("ascii").splitlines()
    }

    assert (done.returncode, done.stdout) == (0, b"")
    assert {f"bundle-v1/{path.name}" for path in GOLDEN.iterdir()} < listed
    assert {key.name for key in KEYS} < listed


def test_both_its_signatures_are_accepted_and_nothing_in_it_is_damaged(golden):
    assert [one.algorithm for one in golden.accepted] == [
        "ssh-ed25519",
        "ecdsa-sha2-nistp384",
    ]
    assert measure(golden, lambda size: None).damages == ()


def test_it_is_written_back_as_it_is():
    manifest, index = (GOLDEN / name for name in ("manifest.json", "index.json"))

    assert dump_manifest(parse_manifest(manifest.read_bytes())) == manifest.read_bytes()
    assert dump_index(parse_index(index.read_bytes())) == index.read_bytes()


def test_it_has_every_codec_and_both_layouts(golden):
    forms = {(chunk.codec, chunk.width) for chunk in golden.index.chunks}

    assert forms == {
        ("raw", 1),
        ("zstd", 1),
        ("shuffle-zstd", 2),
        ("shuffle-zstd", 4),
    }
    assert [m.layout for m in golden.manifest.models] == ["hf-cache", "flat"]
    assert golden.manifest.images
    assert golden.manifest.stack


def test_every_content_comes_out_as_its_digest_says(golden):
    for digest, found in golden.index.contents.items():
        data = b"".join(bytes(part) for part in golden.read_content(digest))

        assert (len(data), digest_of(data)) == (found.size, digest)


def test_what_went_in_comes_out(golden):
    came_out = {
        model: {path: content(golden, path, model) for path in files}
        for model, files in (("chat", make.hub_files()), ("local", make.local_files()))
    }

    assert came_out == {"chat": make.hub_files(), "local": make.local_files()}


def test_its_trees_are_laid_out_as_ever(golden):
    chat, local = golden.manifest.models
    repo = "models--acme--tiny-chat"
    snapshot = f"{repo}/snapshots/{chat.source.commit}"

    assert [e.path for e in tree_of(local)] == sorted(make.local_files())
    assert {e.path: e.link or e.text or e.content for e in tree_of(chat)} == {
        **{f"{repo}/blobs/{file.blob}": file.digest for file in chat.files},
        **{
            f"{snapshot}/{file.path}": f"../../blobs/{file.blob}" for file in chat.files
        },
        f"{repo}/refs/main": chat.source.commit.encode(),
        f"{repo}/refs/v1.0": chat.source.commit.encode(),
    }
    for model in (chat, local):
        listing = format_listing(model.layout, model.source, model.files)
        assert listing == (GOLDEN / model.listing_name).read_bytes()


def test_the_installer_that_it_carries_still_accepts_it(tmp_path):
    host = Host(tmp_path, GOLDEN / PYZ)

    for key in KEYS:
        host.run("verify", GOLDEN, "--key", key).expect(0, "good: golden 1.0.0")


def test_the_command_accepts_it_by_either_key_and_no_other(tmp_path):
    stranger = a_key(tmp_path / "stranger")

    for key in KEYS:
        sealift("verify", GOLDEN, "--key", key).expect(0, "good: golden 1.0.0")
    sealift("verify", GOLDEN, "--key", stranger.public).expect(11)


def test_todays_installer_stages_its_weights_as_coreutils_expect(golden, tmp_path):
    layout = Layout(str(tmp_path / "state"), str(tmp_path / "config"))

    missing = store.missing_contents(layout, golden)
    stage(layout, golden, missing)

    for model in golden.manifest.models:
        trees.build_tree(layout, model)
        check = ["sha256sum", "-c", "--strict", GOLDEN / model.listing_name]
        subprocess.run(check, cwd=layout.tree(model), check=True, capture_output=True)
        assert trees.compare_names(layout.tree(model), model)[0] == {}


def test_todays_installer_installs_it_whole(engine, tmp_path):
    (tmp_path / PYZ).write_bytes(installer_bytes())
    host = Host(tmp_path / "host", tmp_path / PYZ, engine=engine.socket)

    try:
        host.run("install", GOLDEN, "--key", KEYS[0]).expect(0, "1 image")
        host.run("audit").expect(0, "clean: golden 1.0.0")
    finally:
        host.run("uninstall", "golden", "--yes").expect(0)
