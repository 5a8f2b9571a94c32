"""Laws of deltas: over any base, a delta installs what a full bundle installs.

Builds and installs run in this process, on models drawn at random: tensors that are
kept, changed, moved to other shards or added, beside files of every kind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import (
    NO_ENGINE,
    PYZ,
    Host,
    Key,
    listing,
    noise,
    resign,
    safetensors,
    weights_spec,
)
from sealift_bundler.build import build
from sealift_bundler.build_values import BuildRequest
from sealift_bundler.report import Report
from sealift_bundler.signing import signer_from_key_file
from sealift_installer.cli import main
from sealift_manifests.digests import digest_of
from sealift_manifests.index import parse_index

NOW = datetime(2026, 11, 1, tzinfo=UTC)

sizes = st.sampled_from([40, 4096, 270_000])
tensors = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 1), sizes), max_size=6
)
plain_files = st.dictionaries(
    st.sampled_from(["notes.md", "x.bin", "zeros.bin"]), st.integers(0, 2)
)
models = st.tuples(tensors, st.integers(1, 3), plain_files)


def files_of(model: tuple[dict[str, tuple[int, int]], int, dict[str, int]]):
    """Return the files of a drawn model, its tensors spread over some shards."""
    weights, shards, plain = model
    files = {"always.txt": b"always"}
    for name, kind in plain.items():
        zeros = name == "zeros.bin"
        files[name] = bytes(9000 * kind) if zeros else noise(name, 700 * kind)
    for shard in range(shards):
        own = {
            name: noise(f"{name} {version}", size)
            for name, (version, size) in sorted(weights.items())[shard::shards]
        }
        files[f"model-{shard}.safetensors"] = safetensors(own)
    return files


class Place:
    """Builds and installs below one folder."""

    def __init__(self, root: Path, key: Key) -> None:
        self.root, self.key = root, key
        shutil.rmtree(root, ignore_errors=True)

    def bundle(
        self, version: int, files: Mapping[str, bytes], *bases: Path, kind: str = "full"
    ) -> Path:
        spec = weights_spec(
            self.root / f"{version}-{kind}",
            "acme",
            files,
            version=str(version),
            serial=version,
        )
        signer = signer_from_key_file(self.key.private, lambda path: b"")
        request = BuildRequest(
            spec_path=spec,
            output=self.root / kind,
            signers=[signer],
            cache=self.root / "cache",
            created=NOW,
            base_paths=bases,
        )
        return build(request, Report(quiet=True)).path

    def run(self, host: str, *words: str | Path) -> int:
        """Run the installer in this process; return its exit code."""
        places = ["--state-dir", self.root / host, "--config-dir", self.root / "config"]
        argv = [*words, *places, "--engine", NO_ENGINE, "--json"]
        return main([str(word) for word in argv])

    def install(self, host: str, bundle: Path) -> int:
        return self.run(host, "install", bundle, "--key", self.key.public)

    def tree(self, host: str) -> dict[str, str]:
        """Return what containers see of the release in use."""
        state = self.root / host
        current = state / "current/acme"
        (model,) = json.loads((current / "manifest.json").read_bytes())["models"]
        return listing(state / "volumes/tiny" / model["tree"].removeprefix("sha256:"))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(old=models, new=models, by_receipt=st.booleans())
def test_a_delta_over_any_base_installs_what_a_full_bundle_does(
    old, new, by_receipt, key, tmp_path
):
    place = Place(tmp_path / "place", key)
    first = place.bundle(1, files_of(old))
    assert place.install("host", first) == 0
    base = place.root / "receipt.json"
    assert place.run("host", "receipt", "-o", base) == 0

    delta = place.bundle(2, files_of(new), base if by_receipt else first, kind="delta")
    full = place.bundle(2, files_of(new))

    assert place.install("host", delta) == 0
    assert place.install("other", full) == 0
    assert place.run("host", "audit") == 0
    assert place.tree("host") == place.tree("other")
    expect_nothing_twice(first, delta, full)


def expect_nothing_twice(first: Path, delta: Path, full: Path) -> None:
    """Expect the delta to store exactly the chunks that its base has not."""
    had, there, wanted = (
        parse_index((bundle / "index.json").read_bytes()).chunks
        for bundle in (first, delta, full)
    )
    stored = {chunk.digest for chunk in there if not chunk.is_base}
    left = {chunk.digest for chunk in there if chunk.is_base}
    assert left == {c.digest for c in wanted} & {c.digest for c in had}
    assert stored == {c.digest for c in wanted} - {c.digest for c in had}


@pytest.fixture
def hostile(tmp_path: Path, key: Key) -> tuple[Place, Path]:
    """A host with a release, and a delta on it, to be signed again after a change."""
    place = Place(tmp_path / "place", key)
    weights = {n: noise(n, 270_000) for n in "abc"}
    first = place.bundle(1, {"m.safetensors": safetensors(weights)})
    assert place.install("state", first) == 0
    weights["b"] = noise("other", 270_000)
    files = {"m.safetensors": safetensors(weights)}
    return place, place.bundle(2, files, first, kind="delta")


def lied(bundle: Path, key: Key, change) -> None:
    """Let `change` work on the index's list of chunks, and sign the bundle again."""
    index = json.loads((bundle / "index.json").read_bytes())
    change(index["chunks"])
    (bundle / "index.json").write_text(json.dumps(index))
    resign(bundle, key)


def test_a_signed_lie_about_a_chunk_that_the_host_has_makes_no_file(hostile, key):
    place, delta = hostile
    host = Host(place.root, delta / PYZ, NO_ENGINE)
    before = place.tree("state")

    # Both are in the store and of one size: all but the content's digest agrees.
    def swap(chunks):
        one, two = [c for c in chunks if c["codec"] == "base" and c["size"] == 270_000]
        one["digest"], two["digest"] = two["digest"], one["digest"]

    lied(delta, key, swap)

    host.run("install", delta).expect(12, "make another file")
    assert place.tree("state") == before
    assert place.run("state", "audit") == 0


def test_a_signed_digest_that_no_base_has_is_refused_before_any_change(hostile, key):
    place, delta = hostile
    host = Host(place.root, delta / PYZ, NO_ENGINE)
    before = listing(place.root / "state")

    lied(delta, key, lambda chunks: chunks[-1].update(digest=digest_of(b"lie")))

    host.run("install", delta).expect(31, "it lacks", "m.safetensors")
    assert listing(place.root / "state") == before


def test_a_size_that_the_store_does_not_have_is_refused(hostile, key):
    place, delta = hostile
    host = Host(place.root, delta / PYZ, NO_ENGINE)
    index = json.loads((delta / "index.json").read_bytes())
    left = [c for c in index["chunks"] if c["size"] == 270_000 and c["codec"] == "base"]

    # One byte moves from one chunk to the other: their sum stays that of the file.
    def shift(chunks):
        one, two = (next(c for c in chunks if c == each) for each in left)
        one["size"], two["size"] = one["size"] - 1, two["size"] + 1

    lied(delta, key, shift)

    host.run("install", delta).expect(12, "not what was signed")
