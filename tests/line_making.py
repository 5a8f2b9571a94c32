"""The whole line for tests: one bundle with every kind of source, in two versions.

A model in a Hub cache and one in a directory, images that were pulled, built and found
in the engine, and a stack of three services. When `a_line` yields, registry, Hub and
the images in the engine are gone, as they are for an offline host.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import making
from engines import busybox_layer, unique
from hubserver import HubServer
from making import Host, Key
from registries import make_image, make_layer, running_registry
from sealift_manifests.digests import Digest
from sealift_manifests.names import volume_name

BUSYBOX = Path("/bin/busybox")
SECRET = "hf_" + "S3cretOfTheBuild" * 2
WAIT = ["/bin/busybox", "sleep", "3600"]
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN --mount=type=secret,id=token ["/bin/busybox", "sh", "-c", \
"/bin/busybox sha256sum /run/secrets/token > /proof"]
COPY about /about
CMD ["/bin/busybox", "sleep", "3600"]
"""
HUB_FILES = making.model_files("hub", size=300_000)
LOCAL_FILES = making.model_files("local") | {"sub/notes.txt": b"of the first release"}


@dataclass(frozen=True)
class Line:
    """Two versions of one bundle, the key, and the folder of its spec."""

    name: str
    first: Path
    second: Path
    key: Key
    spec: Path
    commit: str

    def manifest(self, bundle: Path) -> Any:
        """Return the manifest of a bundle."""
        return json.loads((bundle / "manifest.json").read_bytes())

    def images(self, bundle: Path) -> dict[str, str]:
        """Return the references under which a bundle loads its images, by name."""
        images = self.manifest(bundle)["images"]
        return {image["name"]: image["reference"] for image in images}

    def trees(self, bundle: Path, host: Host) -> dict[str, Path]:
        """Return where a bundle's models lie on a host."""
        return {
            model["name"]: host.state
            / "volumes"
            / model["name"]
            / model["tree"].removeprefix("sha256:")
            for model in self.manifest(bundle)["models"]
        }

    def volume(self, bundle: Path, model: str) -> str:
        """Return the name of a model's volume."""
        trees = {m["name"]: m["tree"] for m in self.manifest(bundle)["models"]}
        return volume_name(self.name, model, Digest(trees[model]))


def compose() -> str:
    """Return a stack of three services; each does nothing, and has the weights."""
    # Process 1 hears no request to stop unless it asks for it.
    base: dict[str, Any] = {"stop_grace_period": "1s"}
    check = {"test": ["CMD", *WAIT[:1], "true"], "interval": "1s"}
    pulled = {"image": "pulled", "volumes": ["hub:/hub:ro"], "healthcheck": check}
    built = {"image": "built", "volumes": ["local:/models:ro"]}
    services = {"pulled": pulled, "built": built, "found": {"image": "found"}}
    stack = {service: {**base, **what} for service, what in services.items()}
    return json.dumps({"services": stack})


@contextmanager
def a_line(folder: Path, engine: hosts.Engine) -> Iterator[Line]:
    """Build the line below `folder`; its name is gone from the engine at the end."""
    name = unique("line")
    key = making.a_key(folder / "release")
    try:
        with (
            running_registry(making.write_files(folder / "registry", {})) as registry,
            HubServer({"org/hub": HUB_FILES}) as hub,
        ):
            busybox = make_layer({"bin/busybox": BUSYBOX.read_bytes()})
            layers = [busybox, make_layer({"about": f"{name} pulled".encode()})]
            registry.push_image(f"{name}:1", make_image(layers, config={"Cmd": WAIT}))
            _import(engine, f"{name}/found:1", folder)
            spec = _spec(folder, name, registry.host, hub.commit_of("org/hub"))
            env = {"HF_ENDPOINT": hub.endpoint}
            insecure = ("--insecure-registry", registry.host)
            first = making.build(spec, key, folder / "out", *insecure, env=env)
            _change_to_second(spec)
            second = making.build(spec, key, folder / "out", *insecure, env=env)
            commit = hub.commit_of("org/hub")
        # From here on nothing can be pulled, fetched or found in the engine.
        making.clear_engine(engine, name)
        yield Line(name, first, second, key, spec, commit)
    finally:
        making.clear_engine(engine, name)


def _import(engine: hosts.Engine, reference: str, folder: Path) -> None:
    layer = folder / "layer.tar"
    layer.write_bytes(busybox_layer())
    engine.run("import", "-c", f"CMD {json.dumps(WAIT)}", str(layer), reference)


def _spec(folder: Path, name: str, registry: str, commit: str) -> Path:
    making.write_files(folder / "model", LOCAL_FILES)
    making.write_files(
        folder,
        {
            "compose.yaml": compose(),
            "token": SECRET,
            "context/Dockerfile": DOCKERFILE,
            "context/about": f"{name} built",
            "context/busybox": BUSYBOX.read_bytes(),
        },
    )
    (folder / "context" / "busybox").chmod(0o755)
    built = {"context": "context", "secrets": {"token": "token"}}
    return making.a_spec(
        folder,
        name,
        version="1.0",
        serial=1,
        models={
            "hub": {
                "huggingface": "org/hub",
                "revision": "main",
                "layout": "hf-cache",
            },
            "local": {"path": "model"},
        },
        images={
            "pulled": {"pull": f"{registry}/{name}:1"},
            "built": {"build": built, "tag": f"{name}/built:1"},
            "found": {"engine": f"{name}/found:1"},
        },
        stack="compose.yaml",
    )


def _change_to_second(spec: Path) -> None:
    making.changed_json(spec, lambda s: s.update(version="2.0", serial=2))
    notes = {"sub/notes.txt": b"of the second release"}
    making.write_files(spec.parent / "model", notes)


def in_container(
    engine: hosts.Engine, host: Host, line: Line, service: str, *command: str
) -> subprocess.CompletedProcess[bytes]:
    """Run busybox in the container of a service, from where there is no network."""
    label = "label=com.docker.compose"
    project = f"{label}.project=sealift-{line.name}"
    found = ["ps", "-q", "--filter", project, "--filter", f"{label}.service={service}"]
    container = engine.text(*found)
    assert host.network is not None
    words = [engine.client, "exec", container, "/bin/busybox", *command]
    return host.network.run(words)
