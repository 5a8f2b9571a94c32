"""Volumes of the engine: where they lie, who writes to them, and what is in them.

An engine gives the content of a volume through a container that has it mounted. Ours is
created of an empty image, never started, and removed again.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from sealift_manifests.errors import RevisionError

from sealift_bundler.engine.client import engine_errors, engine_host

if TYPE_CHECKING:
    import docker

_EMPTY = "sealift-empty:build"
_PLACE = "/data"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class EngineVolume:
    """A volume as the engine has it. `place` is its directory, if it lies here.

    `writers` are the running containers that have it mounted writable.
    """

    name: str
    place: Path | None
    writers: tuple[str, ...]


def inspect_volume(client: docker.DockerClient, name: str) -> EngineVolume:
    """Ask the engine for a volume; raise RevisionError when it has none of the name."""
    from docker.errors import NotFound

    with engine_errors(f"the engine cannot describe the volume {name}"):
        try:
            found = client.volumes.get(name).attrs
        except NotFound as error:
            there = sorted(each.name for each in client.volumes.list())
            raise RevisionError(
                f"the engine has no volume {name}; there are: "
                + (", ".join(there[:20]) or "none"),
                hint="`docker volume ls` lists them; one of a Compose file has the "
                "project's name before its own.",
            ) from error
        writers = tuple(sorted(_writers(client, name)))
        return EngineVolume(name, _place(client, found), writers)


@contextmanager
def export_volume(client: docker.DockerClient, name: str) -> Iterator[IO[bytes]]:
    """Give the content of a volume as the engine streams it: a tar, to be read once."""
    from docker.errors import APIError

    with (
        engine_errors(f"the engine broke off while giving the volume {name}"),
        _mounted(client, name) as container,
    ):
        api = client.api
        url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive"
        with api.get(
            url, params={"path": _PLACE}, stream=True, timeout=None
        ) as response:
            if response.status_code != 200:
                raise APIError(response.text[:2000], response=response)
            raw = _Stream(response.iter_content(_CHUNK))
            yield cast("IO[bytes]", io.BufferedReader(raw, _CHUNK))


@contextmanager
def _mounted(client: docker.DockerClient, name: str) -> Iterator[str]:
    """Give the ID of a container that has the volume mounted and does not run."""
    from docker.errors import DockerException

    api = client.api
    repository, _, tag = _EMPTY.partition(":")
    # Two blocks of zeros are a tar with nothing in it.
    api.import_image_from_data(bytes(1024), repository=repository, tag=tag)
    made = f"sealift-read-{uuid.uuid4().hex[:12]}"
    # nocopy, or an engine fills a volume that is empty from the image.
    host = api.create_host_config(
        binds=[f"{name}:{_PLACE}:ro,nocopy"], network_mode="none"
    )
    try:
        api.create_container(_EMPTY, ["/never-started"], name=made, host_config=host)
        yield made
    finally:
        with suppress(DockerException):
            api.remove_container(made, force=True)
        with suppress(DockerException):
            api.remove_image(_EMPTY)


class _Stream(io.RawIOBase):
    """Reads from pieces as they come."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, target: Any, /) -> int:
        """Fill `target` with what comes next."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _writers(client: docker.DockerClient, name: str) -> Iterator[str]:
    for container in client.containers.list(filters={"volume": name}):
        for mount in container.attrs.get("Mounts") or []:
            if mount.get("Name") == name and mount.get("RW"):
                yield str(container.name)


def _place(client: docker.DockerClient, found: dict[str, Any]) -> Path | None:
    """Return the directory of a volume, if root may read it here."""
    if not engine_host().startswith("unix://") or os.geteuid() != 0:
        return None
    info, here = client.info(), os.uname()
    if (info.get("KernelVersion"), info.get("Name")) != (here.release, here.nodename):
        return None
    options = found.get("Options") or {}
    # Until a container runs, what such a volume leads to is not mounted there.
    if found.get("Driver") != "local" or options:
        return None
    place = Path(str(found.get("Mountpoint") or "/nonexistent"))
    return place if place.is_dir() else None
