"""A real docker-registry on loopback, and small honest images to put into it.

Faults and token servers are in `registry_fronts`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from hosts import free_port

PROGRAM = "/usr/bin/docker-registry"
USER, PASSWORD = "ferry", "correct horse"
# bcrypt of PASSWORD, the only form that docker-registry takes.
_HTPASSWD = f"{USER}:$2y$05$sealiftregistrytests2uoawAMq3hwHq5uP84o7nfImq..2vZcUm\n"

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def sha256(data: bytes) -> str:
    """Return the digest as registries write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class MadeLayer:
    """A layer as it is stored, and the digest of its plain tar."""

    data: bytes
    diff_id: str
    gzipped: bool


@dataclass(frozen=True)
class MadeImage:
    """One image with all its bytes."""

    manifest: bytes
    media_type: str
    config: bytes
    layers: tuple[MadeLayer, ...]

    @property
    def digest(self) -> str:
        return sha256(self.manifest)


def make_layer(files: Mapping[str, bytes], *, gzipped: bool = True) -> MadeLayer:
    """Put files into a tar, the same bytes every time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    plain = out.getvalue()
    data = gzip.compress(plain, compresslevel=1, mtime=0) if gzipped else plain
    return MadeLayer(data, sha256(plain), gzipped)


def make_image(
    layers: Sequence[MadeLayer],
    *,
    architecture: str = "amd64",
    docker: bool = False,
    config: Mapping[str, Any] | None = None,
) -> MadeImage:
    """Make a Linux image in OCI form, or in Docker's schema 2."""
    config_bytes = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": dict(config or {}),
            "rootfs": {"type": "layers", "diff_ids": [x.diff_id for x in layers]},
            "history": [{"created_by": "a test"} for _ in layers],
        }
    ).encode()
    plain_type = DOCKER_LAYER if docker else OCI_LAYER
    zipped_type = plain_type + (".gzip" if docker else "+gzip")
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config_bytes, DOCKER_CONFIG if docker else OCI_CONFIG),
        "layers": [
            descriptor(x.data, zipped_type if x.gzipped else plain_type) for x in layers
        ],
    }
    data = json.dumps(manifest, indent=3).encode()
    return MadeImage(data, media_type, config_bytes, tuple(layers))


def make_index(
    images: Mapping[str, MadeImage], *, attested: bool = False, docker: bool = False
) -> bytes:
    """Make an index of images by platform, with an attestation entry if wanted."""
    entries = [
        descriptor(image.manifest, image.media_type)
        | {"platform": dict(zip(_PLATFORM_KEYS, name.split("/"), strict=False))}
        for name, image in images.items()
    ]
    if attested:
        subject = next(iter(images.values()))
        notes = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": subject.digest,
        }
        nowhere = {"os": "unknown", "architecture": "unknown"}
        statement = descriptor(subject.manifest, subject.media_type)
        entries.insert(0, statement | {"annotations": notes, "platform": nowhere})
    media_type = DOCKER_LIST if docker else OCI_INDEX
    return json.dumps(
        {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    ).encode()


_PLATFORM_KEYS = ("os", "architecture", "variant")


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    """Describe some bytes."""
    return {"mediaType": media_type, "size": len(data), "digest": sha256(data)}


@dataclass(frozen=True)
class Registry:
    """A running registry."""

    host: str
    login: tuple[str, str] | None = field(default=None, repr=False)

    def push_blob(self, repository: str, data: bytes) -> str:
        """Upload a blob and return its digest."""
        start = self._send("POST", f"/v2/{repository}/blobs/uploads/", b"")
        url, digest = start.headers["Location"], sha256(data)
        glue = "&" if "?" in url else "?"
        self._send("PUT", f"{url}{glue}digest={digest}", data)
        return digest

    def push_manifest(
        self, repository: str, tag: str, data: bytes, media_type: str
    ) -> str:
        """Upload a manifest or index under a tag or digest; return its digest."""
        url = f"/v2/{repository}/manifests/{tag}"
        self._send("PUT", url, data, {"Content-Type": media_type})
        return sha256(data)

    def push_image(self, name: str, image: MadeImage) -> str:
        """Upload an image as `repository:tag` (or `repository:sha256:...`)."""
        repository, _, tag = name.partition(":")
        for data in (image.config, *(layer.data for layer in image.layers)):
            self.push_blob(repository, data)
        return self.push_manifest(repository, tag, image.manifest, image.media_type)

    def push_index(
        self, name: str, images: Mapping[str, MadeImage], index: bytes
    ) -> str:
        """Upload images and the index over them as `repository:tag`."""
        repository, _, tag = name.partition(":")
        for image in images.values():
            self.push_image(f"{repository}:{image.digest}", image)
        media_type = json.loads(index)["mediaType"]
        return self.push_manifest(repository, tag, index, media_type)

    def _send(
        self,
        method: str,
        url: str,
        data: bytes,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        if url.startswith("/"):
            url = f"http://{self.host}{url}"
        answer = requests.request(
            method, url, data=data, headers=headers, auth=self.login, timeout=30
        )
        answer.raise_for_status()
        return answer


@contextmanager
def running_registry(
    directory: Path, *, htpasswd: bool = False, token: Mapping[str, str] | None = None
) -> Iterator[Registry]:
    """Run docker-registry over `directory` until the block ends.

    With `htpasswd` it wants USER and PASSWORD. With `token` (its settings of that
    name) it wants bearer tokens. Two may run over one directory: push to an open
    one, pull from a guarded one.
    """
    auth: dict[str, Any] = {}
    if htpasswd:
        (directory / "htpasswd").write_text(_HTPASSWD)
        auth = {"htpasswd": {"realm": "tests", "path": f"{directory / 'htpasswd'}"}}
    if token is not None:
        auth = {"token": dict(token)}
    host = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": f"{directory / 'data'}"}},
        "http": {"addr": host, "secret": "not one"},
        **({"auth": auth} if auth else {}),
    }
    path = directory / f"config-{host.rpartition(':')[2]}.yml"
    path.write_text(json.dumps(config))
    log = path.with_suffix(".log")
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [PROGRAM, "serve", str(path)], stdout=sink, stderr=sink
        )
    try:
        _wait_for(host, process, log)
        yield Registry(host, (USER, PASSWORD) if htpasswd else None)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    address, _, port = host.rpartition(":")
    for _ in range(200):
        if process.poll() is not None:
            break
        try:
            socket.create_connection((address, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"docker-registry did not start: {log.read_text()[-2000:]}")
