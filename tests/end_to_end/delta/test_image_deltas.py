"""An image of which one layer changed: only that layer travels.

The other layers come out of the engine, here a real one. A graph driver gives plain
tars where the bundle has gzip, and that is sound: the config names the plain ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engines import unique
from hosts import Engine
from making import (
    PYZ,
    Host,
    Key,
    Outcome,
    a_spec,
    build,
    clear_engine,
    in_engine,
    noise,
)
from registries import MadeLayer, Registry, make_image, make_layer, running_registry

BIG = 1_000_000


@dataclass(frozen=True)
class Shop:
    """Where images are pushed and bundles are built, all under one unique name."""

    name: str
    root: Path
    registry: Registry
    key: Key
    engine: Engine

    def bundle(
        self,
        version: int,
        layers: Sequence[MadeLayer],
        *options: str | Path,
        tag: int | None = None,
    ) -> Path:
        """Push an image of these layers and build the bundle that carries it."""
        name = f"{self.name}:{tag or version}"
        self.registry.push_image(name, make_image(layers, config={"Cmd": ["/x"]}))
        return self.build(version, {"pull": f"{self.registry.host}/{name}"}, *options)

    def build(self, version: int, source: dict[str, Any], *options: str | Path) -> Path:
        """Build a bundle with one image, `server`."""
        folder = self.root / f"spec-{version}"
        spec = a_spec(
            folder,
            self.name,
            version=str(version),
            serial=version,
            images={"server": source},
        )
        insecure = ("--insecure-registry", self.registry.host)
        return build(spec, self.key, self.root / "out", *insecure, *options)

    def reference(self, bundle: Path) -> str:
        """Return the name under which a bundle loads its image."""
        (image,) = json.loads((bundle / "manifest.json").read_bytes())["images"]
        return image["reference"]

    def host(self, bundle: Path) -> Host:
        """Return a host on which this bundle is installed."""
        host = Host(self.root / "host", bundle / PYZ)
        host.run("install", bundle, "--key", self.key.public).expect(0)
        return host

    def receipt(self, host: Host) -> Path:
        """Return the receipt of a host."""
        path = self.root / "receipt.json"
        host.run("receipt", "-o", path).expect(0)
        return path


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def shop(
    tmp_path: Path, key: Key, engine: Engine, registry: Registry
) -> Iterator[Shop]:
    name = unique("delta")
    try:
        yield Shop(name, tmp_path, registry, key, engine)
    finally:
        clear_engine(engine, name)


def layer(seed: str, size: int = BIG) -> MadeLayer:
    return make_layer({f"{seed}.bin": noise(seed, size)})


def packs(bundle: Path) -> int:
    return sum(path.stat().st_size for path in bundle.glob("*.pack"))


def expect_installed(shop: Shop, host: Host, bundle: Path) -> Outcome:
    """Install, and see every layer proven in the engine against the signed digests."""
    done = host.run("install", bundle).expect(0)
    host.run("audit", shop.name).expect(0, "clean")
    return done


@pytest.mark.parametrize("changed", ["top", "bottom"])
def test_only_the_changed_layer_travels_wherever_it_lies(shop, changed):
    old = [layer("bottom"), layer("middle"), layer("top")]
    new = [
        layer(f"new {name}", 50_000) if name == changed else made
        for name, made in zip(("bottom", "middle", "top"), old, strict=True)
    ]
    host = shop.host(shop.bundle(1, old))

    delta = shop.bundle(2, new, "--base", shop.receipt(host))

    assert packs(delta) < 60_000
    expect_installed(shop, host, delta)


@pytest.mark.slow
def test_a_layer_that_was_packed_again_is_known_by_what_it_unpacks_to(shop):
    # Where images are known by their manifest, only the very blob will do.
    status = shop.engine.text("info", "--format", "{{.DriverStatus}}")
    carried = BIG if "io.containerd.snapshotter" in status else 0
    plain = make_layer({"big.bin": noise("big", BIG)}, gzipped=False)
    old, new = shop.bundle(1, [layer("a"), plain]), [layer("a"), layer("c", 9)]
    host = shop.host(old)
    repacked = make_layer({"big.bin": noise("big", BIG)})
    assert repacked.diff_id == plain.diff_id

    delta = shop.bundle(2, [*new, repacked], "--base", shop.receipt(host))

    assert carried <= packs(delta) < carried + 20_000
    expect_installed(shop, host, delta)


@pytest.mark.slow
def test_a_bundle_as_base_leaves_out_only_the_very_blobs(shop):
    plain = make_layer({"big.bin": noise("big", BIG)}, gzipped=False)
    first = shop.bundle(1, [layer("a"), plain])
    repacked = make_layer({"big.bin": noise("big", BIG)})
    host = shop.host(first)

    delta = shop.bundle(2, [layer("a"), layer("c", 9), repacked], "--base", first)

    assert BIG < packs(delta) < BIG + 20_000
    expect_installed(shop, host, delta)


def test_an_image_out_of_the_engine_is_saved_without_what_hosts_have(shop, tmp_path):
    tags = [f"{shop.name}/found:{number}" for number in (1, 2)]
    (tmp_path / "big").write_bytes(noise("big", BIG))
    (tmp_path / "small").write_bytes(b"small")
    for tag, base, file in ((tags[0], "scratch", "big"), (tags[1], tags[0], "small")):
        (tmp_path / "Dockerfile").write_text(
            f"FROM {base}\nCOPY {file} /{file}\nCMD /x\n"
        )
        shop.engine.run("build", "-t", tag, str(tmp_path))
    first = shop.build(1, {"engine": tags[0]})
    host = shop.host(first)

    delta = shop.build(2, {"engine": tags[1]}, "--base", shop.receipt(host))

    assert packs(first) > BIG
    assert packs(delta) < 20_000
    for tag in tags:
        shop.engine.run("rmi", tag)
    expect_installed(shop, host, delta)


def test_an_image_that_did_not_change_is_not_touched_and_costs_nothing(shop):
    layers = [layer("a"), layer("b")]
    first = shop.bundle(1, layers)
    host = shop.host(first)

    delta = shop.bundle(2, layers, "--base", first, tag=1)

    assert packs(delta) < 5_000
    assert "0 images loaded" in expect_installed(shop, host, delta).out


@pytest.mark.slow
def test_layers_that_the_engine_lost_are_named_before_anything_is_changed(shop):
    first = shop.bundle(1, [layer("a"), layer("b")])
    host = shop.host(first)
    delta = shop.bundle(2, [layer("a"), layer("c", 9)], "--base", shop.receipt(host))
    (image,) = in_engine(shop.engine, shop.name)["images"]
    shop.engine.run("rmi", image.split()[0])
    before = host.listing()

    refused = host.run("install", delta)

    refused.expect(31, "it lacks layer", "of image server", f"{shop.name} 1 (serial 1")
    assert host.listing() == before
    assert in_engine(shop.engine, shop.name)["images"] == []
    host.run("install", "--repair", first, "--allow-downgrade", "mend").expect(0)
    expect_installed(shop, host, delta)


def test_a_receipt_lists_only_layers_that_the_engine_gives_back(shop):
    host = shop.host(shop.bundle(1, [layer("a"), layer("b")]))

    whole = json.loads(shop.receipt(host).read_bytes())["releases"][0]["images"]
    without = host.run("receipt", "--no-layers", "--json").expect(0).facts["receipt"]
    (image,) = in_engine(shop.engine, shop.name)["images"]
    shop.engine.run("rmi", image.split()[0])
    gone = json.loads(shop.receipt(host).read_bytes())["releases"][0]["images"]

    assert [len(each["layers"]) for each in whole] == [2]
    assert without["releases"][0]["images"] == gone == []


@pytest.mark.slow
def test_a_layer_that_was_changed_below_the_engine_is_not_taken(shop):
    host = shop.host(shop.bundle(1, [layer("a"), layer("b")]))
    delta = shop.bundle(2, [layer("a"), layer("c", 9)], "--base", shop.receipt(host))
    tampered = _file_in_layer(shop.engine, "a.bin", noise("a", BIG))
    honest = tampered.read_bytes()
    tampered.write_bytes(honest[:-1] + bytes([honest[-1] ^ 1]))

    try:
        refused = host.run("install", delta)
    finally:
        tampered.write_bytes(honest)

    refused.expect(31, "does not give back image", "as it was signed", "--repair")
    assert len(in_engine(shop.engine, shop.name)["images"]) == 1
    expect_installed(shop, host, delta)


@pytest.mark.slow
def test_an_image_is_not_taken_away_to_be_mended_out_of_itself(shop):
    first = shop.bundle(1, [layer("a"), layer("b")])
    host = shop.host(first)
    delta = shop.bundle(2, [layer("a"), layer("c", 9)], "--base", first)
    host.run("install", delta).expect(0)
    old, new = (shop.reference(bundle) for bundle in (first, delta))
    shop.engine.run("rmi", old)
    tampered = _file_in_layer(shop.engine, "a.bin", noise("a", BIG))
    honest = tampered.read_bytes()
    tampered.write_bytes(bytes(len(honest)))

    try:
        refused = host.run("install", "--repair", delta)
    finally:
        tampered.write_bytes(honest)

    refused.expect(31, "it lacks layer")
    assert in_engine(shop.engine, shop.name)["images"][0].startswith(new)
    host.run("audit").expect(0)


def _file_in_layer(engine: Engine, name: str, content: bytes) -> Path:
    """Return where the engine's graph driver keeps a file of a layer."""
    root = Path(engine.text("info", "--format", "{{.DockerRootDir}}").strip())
    found = [
        path
        for path in root.glob(f"overlay2/*/diff/{name}")
        if path.read_bytes() == content
    ]
    if not found:
        pytest.skip("the engine keeps layers in another way than overlay2")
    return max(found, key=lambda path: path.stat().st_mtime_ns)
