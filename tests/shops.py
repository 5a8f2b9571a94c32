"""Bundles of one name to spoil, and the key they are signed with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import making
from engines import unique
from making import PYZ, Key
from registries import make_image, make_layer, running_registry

MIB = 1 << 20


@dataclass(frozen=True)
class Shop:
    """Bundles of one name, the key they are signed with, and one nobody trusts.

    `good` carries three packs of weights and an image; `older` and `newer` are small,
    with a lower and a higher serial, and need no engine.
    """

    name: str
    good: Path
    older: Path
    newer: Path
    key: Key
    stranger: Key

    @property
    def pyz(self) -> Path:
        """The installer that came with the bundle."""
        return self.good / PYZ

    @property
    def reference(self) -> str:
        """What the image of `good` is called on a host."""
        manifest = json.loads((self.good / "manifest.json").read_bytes())
        reference: str = manifest["images"][0]["reference"]
        return reference


def a_shop(folder: Path) -> Shop:
    """Build the bundles below `folder`."""
    name = unique("bad")
    key, stranger = making.a_key(folder / "release"), making.a_key(folder / "stranger")
    layers = [make_layer({"about": name.encode()})]
    with running_registry(making.write_files(folder / "registry", {})) as registry:
        registry.push_image(f"{name}:1", make_image(layers))
        spec = making.weights_spec(
            folder / "good",
            name,
            {"big.gguf": making.noise(name, 20 * MIB), "config.json": b"{}"},
            serial=2,
            images={"web": {"pull": f"{registry.host}/{name}:1"}},
        )
        insecure = ("--insecure-registry", registry.host)
        out = folder / "out"
        good = making.build(spec, key, out, "--part-size", "8MiB", *insecure)
    others = [
        making.build(
            making.weights_spec(folder / f"s{n}", name, version=f"{n}", serial=n),
            key,
            out,
        )
        for n in (1, 3)
    ]
    return Shop(name, good, *others, key, stranger)
