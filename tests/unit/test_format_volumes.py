"""FORMAT.md says enough of volumes of data: who knows it alone takes them as we do."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import strangers_reader as stranger
import strangers_volumes
from making import Key, a_spec, build, resign
from sealift_manifests.bundle import open_bundle
from sealift_manifests.errors import ManifestError
from sealift_manifests.media import Media
from sealift_manifests.names import data_volume_name
from sealift_manifests.trust import Trust
from volume_making import a_volume

TEXT = Path(__file__).resolve().parents[2] / "manifests" / "FORMAT.md"
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle(key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    a_volume(folder / "data", owned=os.geteuid() == 0)
    spec = a_spec(folder, "acme", volumes={"store": {"path": "data"}})
    return build(spec, key, folder / "out")


def opened(path: Path, key: Key):
    trust = Trust.from_key_file(key.public.read_text(), "key")
    with Media([str(path)]) as media:
        return open_bundle(media, trust, NOW)


def as_stranger(path: Path, key: Key) -> stranger.Bundle:
    return stranger.Bundle(path, {stranger.key_blob(key.public.read_text())})


def test_a_stranger_takes_every_file_of_a_volume_out(bundle, key, tmp_path):
    as_stranger(bundle, key).extract(tmp_path)

    source, made = bundle.parents[1] / "data", tmp_path / "volumes/store"
    files = [path for path in made.rglob("*") if path.is_file()]
    assert len(files) == 4
    for path in files:
        assert path.read_bytes() == (source / path.relative_to(made)).read_bytes()


def test_a_stranger_arrives_at_the_same_identity(bundle, key):
    (ours,) = opened(bundle, key).manifest.volumes
    (theirs,) = as_stranger(bundle, key).manifest["volumes"]

    assert strangers_volumes.identity(theirs) == ours.digest


def test_the_checksum_list_is_settled_by_coreutils_at_the_root_of_the_data(bundle):
    listing = bundle / "volume-store.sha256"

    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "--quiet", listing],
        cwd=bundle.parents[1] / "data",
    )

    assert done.returncode == 0
    assert len(listing.read_text().splitlines()) == 5


def test_a_list_that_is_not_that_of_the_volume_is_refused(bundle, key, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    for path in bundle.iterdir():
        (made / path.name).write_bytes(path.read_bytes())
    digest = hashlib.sha256(b"").hexdigest()
    (made / "volume-store.sha256").write_text(f"{digest}  other\n")
    resign(made, key)

    with pytest.raises(ManifestError, match="not the list of volume store"):
        opened(made, key)
    with pytest.raises(ValueError, match="list of a volume"):
        as_stranger(made, key)


def test_the_names_and_the_feature_are_those_of_the_document(bundle):
    text = TEXT.read_text("utf-8")

    assert data_volume_name("acme", "store") == "sealift-data.acme.store"
    assert "sealift-data.BUNDLE.LABEL" in text
    assert "`smoke-secrets` (8), `volumes` (8, 14a)" in text
    assert json.loads((bundle / "manifest.json").read_bytes())["features"] == [
        "volumes"
    ]


def test_a_delta_brings_data_whole_for_the_hosts_own_is_another_now(
    bundle, key, tmp_path
):
    folder = bundle.parents[1]
    fields = {"version": "2", "volumes": {"store": {"path": str(folder / "data")}}}
    spec = a_spec(tmp_path, "acme", **fields)

    delta = opened(build(spec, key, tmp_path / "out", "--base", bundle), key)

    assert not any(chunk.is_base for chunk in delta.index.chunks)
    assert delta.index.bases == ()
