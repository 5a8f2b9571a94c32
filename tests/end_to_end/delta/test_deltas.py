"""The second trip: a bundle without what the host has, and what can go wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from making import (
    NO_ENGINE,
    PYZ,
    Host,
    Key,
    build,
    flip,
    listing,
    noise,
    safetensors,
    sealift,
    weights_spec,
)

SIZE = 300_000
"""Bytes of a tensor: enough to begin a chunk of its own."""


def model(*tensors: str, **files: str) -> dict[str, bytes]:
    """Return a model of tensors with these seeds, and some small files."""
    weights = {f"layer.{n}": noise(seed, SIZE) for n, seed in enumerate(tensors)}
    small = {name.replace("_", "."): text.encode() for name, text in files.items()}
    return {"model.safetensors": safetensors(weights), **small}


FILES = {
    1: model("a", "b", "c", config_json="{}", notes_txt="one"),
    2: model("a", "x", "c", config_json="{}", notes_txt="two"),
    3: model("a", "x", "y", config_json="{}", notes_txt="three"),
    9: {"other.bin": noise("other", 5000)},
}


@dataclass(frozen=True)
class Shop:
    """Where bundles of one name are built and installed, each kind once a module."""

    root: Path
    key: Key

    def bundle(self, version: int, *bases: Path) -> Path:
        """Return a version, built on these bases if there are any."""
        names = [f"{base.parent.name}-{base.name}" for base in bases]
        output = self.root / f"{version}-on-{'-'.join(names) or 'nothing'}"
        if not output.exists():
            spec = self.spec(version)
            options = [word for base in bases for word in ("--base", base)]
            build(spec, self.key, output, *options)
        (found,) = output.iterdir()
        return found

    def spec(self, version: int) -> Path:
        folder = self.root / f"spec-{version}"
        return weights_spec(
            folder, "acme", FILES[version], version=str(version), serial=version
        )

    def installed(self, *bundles: Path) -> Path:
        """Return the root of a host with these bundles, not to be changed."""
        root = self.root / "-".join(["host", *(b.parent.name for b in bundles)])
        if not root.exists():
            host = Host(root, bundles[0] / PYZ, NO_ENGINE)
            for bundle in bundles:
                host.run("install", bundle, "--key", self.key.public).expect(0)
        return root

    def receipt(self, *bundles: Path) -> Path:
        """Return what a host with these bundles says it has."""
        root = self.installed(*bundles)
        path = root.with_name(f"{root.name}.json")
        if not path.exists():
            host = Host(root, bundles[0] / PYZ, NO_ENGINE)
            host.run("receipt", "-o", path).expect(0)
        return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"), key)


@pytest.fixture
def host_of(shop: Shop, tmp_path: Path) -> Callable[..., Host]:
    """What gives a host of the test's own, on which these bundles are installed."""

    def host_of(*bundles: Path) -> Host:
        root = tmp_path / f"host-{len(list(tmp_path.iterdir()))}"
        subprocess.run(["cp", "-a", shop.installed(*bundles), root], check=True)
        return Host(root, bundles[0] / PYZ, NO_ENGINE)

    return host_of


@pytest.fixture(scope="module")
def first(shop: Shop) -> Path:
    """The bundle that brings everything."""
    return shop.bundle(1)


@pytest.fixture(scope="module")
def delta(shop: Shop, first: Path) -> Path:
    """The second version, without what the first has brought."""
    return shop.bundle(2, first)


def packs(bundle: Path) -> int:
    return sum(path.stat().st_size for path in bundle.glob("*.pack"))


def installed(host: Host) -> dict[str, str]:
    """Return what containers see of the release in use, by name and content."""
    (current,) = (host.state / "current").iterdir()
    manifest = json.loads((current / "manifest.json").read_bytes())
    (model,) = manifest["models"]
    return listing(host.state / "volumes/tiny" / model["tree"].removeprefix("sha256:"))


@pytest.mark.parametrize("base", ["receipt", "bundle", "small files of a bundle"])
def test_a_delta_installs_what_a_full_bundle_installs(base, shop, first, host_of):
    bare = shop.root / "bare" / first.name
    if not bare.exists():
        shutil.copytree(first, bare, ignore=shutil.ignore_patterns("*.pack"))
    told = {"receipt": shop.receipt(first), "bundle": first}.get(base, bare)

    delta, full, host = shop.bundle(2, told), shop.bundle(2), host_of(first)

    assert packs(full) > 3 * SIZE
    assert SIZE < packs(delta) < SIZE + 500
    host.run("install", delta).expect(0)
    host.run("audit").expect(0)
    assert installed(host) == installed(host_of(full))
    assert "nothing to do" in host.run("install", delta).expect(0).out


def test_a_delta_that_was_lost_on_the_way_is_no_dead_end(shop, first, delta, host_of):
    host, lost = host_of(first), delta

    refused = host.run("install", shop.bundle(3, lost))
    mended = shop.bundle(3, shop.receipt(first))

    refused.expect(31, "builds on acme 2 (serial 2, root sha256:", "new `receipt`")
    refused.expect(31, "of model tiny: model.safetensors")
    assert 2 * SIZE < packs(mended) < 2 * SIZE + 500
    host.run("install", mended).expect(0)
    host.run("audit").expect(0)


def test_a_delta_on_a_delta_builds_on_the_whole_of_it(shop, first, delta, host_of):
    third, host = shop.bundle(3, delta), host_of(first, delta)

    host.run("install", third).expect(0)

    assert packs(third) < SIZE + 500
    host.run("audit").expect(0)
    assert installed(host) == installed(host_of(shop.bundle(3)))


def test_only_the_bytes_decide_and_not_which_release_brought_them(shop, first, host_of):
    on_first, host = shop.bundle(3, first), host_of(shop.bundle(2))

    host.run("install", on_first).expect(0)

    host.run("audit").expect(0)


def test_a_delta_may_store_nothing_and_travel_as_a_tar(shop, tmp_path):
    once, twice = ({"zeros.bin": bytes(count * (8 << 20))} for count in (1, 2))
    spec = weights_spec(tmp_path / "1", "zeros", once, serial=1)
    first = build(spec, shop.key, tmp_path / "first")
    spec = weights_spec(tmp_path / "2", "zeros", twice, serial=2)
    delta = build(spec, shop.key, tmp_path / "delta", "--base", first, "--tar")
    host = Host(tmp_path / "host", first / PYZ, NO_ENGINE)
    host.run("install", first, "--key", shop.key.public).expect(0)

    host.run("verify", delta).expect(0, "0 B in 0 packs")
    host.run("install", delta).expect(0, "16.0 MiB of weights staged")
    host.run("audit").expect(0)


def test_nothing_is_changed_on_a_host_that_lacks_the_base(shop, delta, tmp_path):
    host = Host(tmp_path / "empty", delta / PYZ, NO_ENGINE)

    refused = host.run("install", delta, "--key", shop.key.public, "--json")

    error = refused.facts["error"]
    assert (refused.code, error["slug"]) == (31, "base-missing")
    root = json.loads((delta / "index.json").read_bytes())["bases"][0]["root"]
    assert f"builds on acme 1 (serial 1, root {root})" in error["message"]
    assert "config.json" in error["message"]
    assert not host.state.exists()


def test_what_a_delta_builds_on_is_told_wherever_one_looks(
    shop, first, delta, tmp_path
):
    trust = ("--key", shop.key.public)
    host = Host(tmp_path / "empty", delta / PYZ, NO_ENGINE)
    words = "acme 1 (serial 1, root sha256:"

    host.run("verify", delta, *trust).expect(0, f"builds on {words}")
    sealift("verify", delta, *trust).expect(0, f"builds on {words}")
    sealift("inspect", delta, *trust).expect(0, "builds on", words)
    assert f"- {words}" in (delta / "INSTALL.md").read_text()
    assert "builds on" not in host.run("verify", first, *trust).expect(0).out


def test_a_base_that_was_changed_on_the_host_is_found_out_and_named(
    first, delta, host_of
):
    host = host_of(first)
    (damaged,) = weights_in(host)
    flip(damaged, at=damaged.stat().st_size - 5)
    old = installed(host)

    refused = host.run("install", delta)

    refused.expect(12, f"{damaged}: bytes 600", "install --repair")
    assert installed(host) == old
    host.run("install", first, "--repair").expect(0)
    host.run("install", delta).expect(0)
    host.run("audit").expect(0)


def test_a_damaged_place_of_a_chunk_does_no_harm_where_there_is_another(
    shop, first, delta, host_of
):
    host, third = host_of(first, delta), shop.bundle(3, delta)
    flip(host.state / weights_of(first), at=5000)

    host.run("install", third).expect(0)

    host.run("audit").expect(0)


def test_a_delta_mends_its_own_release_with_what_is_good_in_it(first, delta, host_of):
    host = host_of(first, delta)
    shutil.rmtree(next((host.state / "releases/acme").glob("1-*")))
    flip(host.state / weights_of(delta), at=SIZE + 5000)

    host.run("install", delta, "--repair").expect(0)

    host.run("audit").expect(0)


def weights_of(bundle: Path) -> str:
    """Return where below the state directory the weights of a bundle lie."""
    (model,) = json.loads((bundle / "manifest.json").read_bytes())["models"]
    (hexes,) = [f["digest"][7:] for f in model["files"] if f["size"] > SIZE]
    return f"store/sha256/{hexes[:2]}/{hexes}"


def weights_in(host: Host) -> list[Path]:
    """Return the large files in the store of a host."""
    found = (host.state / "store").rglob("*")
    return [p for p in found if p.is_file() and p.stat().st_size > SIZE]


def test_a_receipt_tells_what_is_there_and_not_what_was_installed(shop, first, host_of):
    whole = json.loads(shop.receipt(first).read_bytes())["releases"][0]
    host = host_of(first)
    (weights,) = weights_in(host)
    os.truncate(weights, 10)

    (told,) = host.run("receipt", "--json").expect(0).facts["receipt"]["releases"]

    assert [f["path"] for f in whole["models"][0]["files"]] == sorted(FILES[1])
    assert [f["path"] for f in told["models"][0]["files"]] == [
        "config.json",
        "notes.txt",
    ]
    assert len(told["chunks"]) == len(whole["chunks"]) - 4
    assert whole["root"] == told["root"]
    assert str(shop.root) not in json.dumps(whole)


def test_a_receipt_says_what_it_leaves_out(first, delta, host_of):
    host = host_of(first, delta)
    (old,) = (host.state / "releases/acme").glob("1-*")
    (old / "index.json").unlink()

    told = host.run("receipt").expect(0, "left out: ", "no engine answers")

    assert [r["version"] for r in json.loads(told.out)["releases"]] == ["2"]


def test_a_receipt_of_nothing_is_refused(first, tmp_path):
    host = Host(tmp_path, first / PYZ, NO_ENGINE)

    host.run("receipt").expect(45, "there is no release")


def test_what_is_left_out_every_one_of_several_hosts_has(shop, first, delta, host_of):
    receipts = shop.receipt(first), shop.receipt(first, delta)

    third = shop.bundle(3, *receipts)

    assert 2 * SIZE < packs(third) < 2 * SIZE + 500
    for host in (host_of(first), host_of(first, delta)):
        host.run("install", third).expect(0)


def test_a_base_that_shares_nothing_leaves_an_ordinary_bundle(shop, first):
    on_first, on_nothing = shop.bundle(9, first), shop.bundle(9)

    index = (on_first / "index.json").read_bytes()

    assert index == (on_nothing / "index.json").read_bytes()


@pytest.mark.parametrize(
    ("made", "code", "words"),
    [
        ("{}", 10, "not a receipt"),
        ('{"type": "sealift-receipt", "format": 2}', 14, "of format 2"),
        ("not json", 2, "neither a receipt nor a bundle"),
        (None, 2, "neither a receipt nor a bundle"),
    ],
)
def test_what_is_no_base_is_refused_before_the_work(made, code, words, shop, tmp_path):
    base, spec = tmp_path / "base", shop.spec(1)
    if made is not None:
        base.write_text(made)

    outcome = sealift("build", spec, "--sign-key", shop.key.private, "--base", base)

    outcome.expect(code, words, str(base))


def test_diff_tells_what_changed_between_bundles_and_since_a_receipt(
    shop, first, delta
):
    for old in (first, shop.receipt(first)):
        told = sealift("diff", old, delta).expect(0, "acme 1 -> acme 2")
        told.expect(0, "changed  model.safetensors: 293.0 KiB new of 879.2 KiB")
        told.expect(0, "model      tiny changed: 1 file as before")
    facts = sealift("diff", first, delta, "--json").expect(0).facts

    assert facts["new"] == SIZE + len("two")
    assert [f["path"] for f in facts["models"][0]["files"]] == [
        "model.safetensors",
        "notes.txt",
    ]
    sealift("diff", delta, delta).expect(0, "nothing changed")
