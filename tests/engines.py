"""Real images and a real engine for tests: made from raw blobs, named uniquely.

`an_image` returns what a bundle would hold: an ImageEntry and its blobs.
`engine_guard` takes everything a test named away again.
"""

import gzip
import io
import json
import tarfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from sealift_installer.container_log import last_log_lines
from sealift_installer.engine import Engine
from sealift_installer.images import load_image
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import EngineError
from sealift_manifests.image_entries import (
    Descriptor,
    ImageEntry,
    ImageSource,
    LayerEntry,
)

SOCKET = Engine.connect().socket_path
"""The engine the tests talk to: that of DOCKER_HOST, or of the usual place."""

SHELL = "/bin/busybox"
"""A static busybox (Debian: busybox-static), the only program of the images here."""

_TYPES = {
    "oci": (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    ),
    "docker": (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
}


@dataclass
class RawImage:
    """An image entry, and the bytes of its blobs by digest."""

    entry: ImageEntry
    blobs: dict[Digest, bytes] = field(default_factory=dict)

    def read(self, digest: Digest, piece: int = 64 << 10) -> Iterator[bytes]:
        """Yield a blob in pieces, as a bundle or a store would."""
        data = self.blobs[digest]
        for start in range(0, len(data), piece):
            yield data[start : start + piece]


def unique(prefix: str = "sealift-test") -> str:
    """Return a name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def a_layer(files: dict[str, bytes], *, mode: int = 0o755) -> bytes:
    """Return the plain tar of a layer with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@cache
def busybox_layer() -> bytes:
    """Return a layer that holds a static busybox as /bin/busybox and /bin/sh."""
    program = Path(SHELL).read_bytes()
    return a_layer({"bin/busybox": program, "bin/sh": program})


def an_image(
    *layers: bytes,
    kind: str = "oci",
    compress: bool = True,
    name: str | None = None,
    config: dict[str, object] | None = None,
) -> RawImage:
    """Return an image of these plain layer tars; `kind` is `oci` or `docker`.

    `config` is the part of the image's config that says how to run it. Without
    layers, it has one small file of its own.
    """
    name = name or unique()
    plain = layers or (a_layer({"about": name.encode()}),)
    stored = [gzip.compress(p, 1, mtime=0) if compress else p for p in plain]
    types = _TYPES[kind]
    entries = _entries(types[3] if compress else types[2], plain, stored)
    config_bytes = _config(config or {"Labels": {"sealift.test": name}}, entries)
    described = Descriptor(types[1], digest_of(config_bytes), len(config_bytes))
    manifest_bytes = _manifest(types[0], described, entries)
    manifest = Descriptor(types[0], digest_of(manifest_bytes), len(manifest_bytes))
    entry = ImageEntry(
        name="test",
        reference=f"docker.io/library/{name}:{manifest.digest.short}",
        source=ImageSource("pull", f"{name}:1"),
        platform="linux/amd64",
        manifest=manifest,
        config=described,
        layers=tuple(entries),
    )
    blobs = [manifest_bytes, config_bytes, *stored]
    return RawImage(entry, {digest_of(data): data for data in blobs})


def _entries(
    media_type: str, plain: Sequence[bytes], stored: Sequence[bytes]
) -> list[LayerEntry]:
    return [
        LayerEntry(
            media_type=media_type,
            digest=digest_of(data),
            size=len(data),
            diff_id=digest_of(tar),
            diff_size=len(tar),
        )
        for tar, data in zip(plain, stored, strict=True)
    ]


def _config(run: dict[str, object], layers: list[LayerEntry]) -> bytes:
    settings = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [e.diff_id for e in layers]},
        "history": [{"created_by": "test"} for _ in layers],
    }
    return json.dumps(settings).encode()


def _manifest(media_type: str, config: Descriptor, layers: list[LayerEntry]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _as_json(config),
        "layers": [_as_json(entry) for entry in layers],
    }
    return json.dumps(document).encode()


def renamed(image: RawImage, reference: str) -> RawImage:
    """Return the same image under another name."""
    return RawImage(replace(image.entry, reference=reference), image.blobs)


@contextmanager
def engine_guard() -> Iterator[tuple[Engine, list[str]]]:
    """Give the engine, and a list to note paths on: all are deleted at the end.

    A path is the engine's own: `/images/NAME`, `/volumes/NAME`, `/containers/NAME`.
    """
    engine, noted = Engine(SOCKET), []
    try:
        yield engine, noted
    finally:
        for path in reversed(noted):
            with suppress(EngineError):
                engine.request("DELETE", f"{path}?force=1", timeout=None).close()


def loader(engine: Engine, noted: list[str]) -> Callable[[RawImage], RawImage]:
    """Return what loads an image and notes it, so that the guard takes it away."""

    def load(image: RawImage) -> RawImage:
        noted.append(f"/images/{image.entry.reference}")
        load_image(engine, image.entry, image.read)
        return image

    return load


def run(engine: Engine, reference: str, script: str, binds: list[str]) -> str:
    """Run a shell line in a container and return the last lines it wrote."""
    wanted = {
        "Image": reference,
        "Cmd": [SHELL, "sh", "-c", f"exec 2>&1; {script}"],
        "HostConfig": {"NetworkMode": "none", "Binds": binds},
    }
    made = engine.send("POST", "/containers/create", wanted)["Id"]
    try:
        engine.send("POST", f"/containers/{made}/start")
        engine.send("POST", f"/containers/{made}/wait")
        return "\n".join(last_log_lines(engine, made))
    finally:
        engine.send("DELETE", f"/containers/{made}?force=1&v=1")


def _as_json(blob: Descriptor) -> dict[str, object]:
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}
