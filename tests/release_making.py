"""Several releases of one bundle for tests, with a stack: good ones, and a bad one.

The weights, the stack and one of the images differ from version to version. When
`a_family` yields, the images are in the bundles only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import making
from engines import SHELL, a_layer, busybox_layer, unique
from making import Host, Key
from sealift_manifests.digests import Digest
from sealift_manifests.names import volume_name

SERVE = f"echo serving; {SHELL} cat /models/config.json; exec {SHELL} sleep 3600"
FAIL = "echo no GPU was found; exit 3"


@dataclass(frozen=True)
class Family:
    """Bundles of one name by version, and the key that signed them.

    `1`, `2` and `4` come up, `3` ends at once with status 3.
    """

    name: str
    bundles: dict[str, Path]
    key: Key

    def manifest(self, version: str) -> Any:
        """Return the manifest of a version."""
        return json.loads((self.bundles[version] / "manifest.json").read_bytes())

    def volume(self, version: str) -> str:
        """Return the name of the volume of a version's model."""
        tree = Digest(self.manifest(version)["models"][0]["tree"])
        return volume_name(self.name, "tiny", tree)

    def tree(self, version: str, host: Host) -> Path:
        """Return where a version's model lies on a host."""
        tree = Digest(self.manifest(version)["models"][0]["tree"])
        return host.state / "volumes" / "tiny" / tree.hex

    def references(self, version: str) -> dict[str, str]:
        """Return the references of a version's images, by name."""
        images = self.manifest(version)["images"]
        return {image["name"]: image["reference"] for image in images}


@contextmanager
def a_family(folder: Path, engine: hosts.Engine) -> Iterator[Family]:
    """Build the family below `folder`; its name is gone from the engine at the end."""
    name = unique("family")
    key = making.a_key(folder / "release")
    try:
        layers = {"web": [busybox_layer()]}
        layers.update({f"job{n}": [busybox_layer(), _own(n)] for n in ("1", "2")})
        for image in layers:
            _import(engine, f"{name}/{image}:1", folder, b"".join(layers[image]))
        bundles = {
            version: making.build(
                _spec(folder / version, name, version), key, folder / "out"
            )
            for version in ("1", "2", "3", "4")
        }
        making.clear_engine(engine, name)
        yield Family(name, bundles, key)
    finally:
        making.clear_engine(engine, name)


def _own(version: str) -> bytes:
    return a_layer({"about": version.encode()})


def _import(engine: hosts.Engine, reference: str, folder: Path, tar: bytes) -> None:
    (folder / "layer.tar").write_bytes(tar)
    engine.run("import", str(folder / "layer.tar"), reference)


def _spec(folder: Path, name: str, version: str) -> Path:
    # Process 1 hears no request to stop unless it asks for it.
    base: dict[str, Any] = {"stop_grace_period": "0s", "network_mode": "none"}
    check = {"test": ["CMD", SHELL, "true"], "interval": "1s"}
    script = FAIL if version == "3" else SERVE
    command = [SHELL, "sh", "-c", script.replace("$", "$$")]
    job = "job1" if version == "1" else "job2"
    web = {"image": "web", "volumes": ["tiny:/models"], "healthcheck": check}
    services = {
        "web": {**base, **web, "command": command},
        f"job-{version}": {**base, "image": "job", "command": [SHELL, "true"]},
    }
    making.write_files(folder, {"compose.yaml": json.dumps({"services": services})})
    return making.weights_spec(
        folder,
        name,
        making.model_files(version) | {"shared.dat": making.noise("shared", 9_000)},
        version=version,
        serial=int(version),
        images={
            "web": {"engine": f"{name}/web:1"},
            "job": {"engine": f"{name}/{job}:1"},
        },
        stack="compose.yaml",
    )
