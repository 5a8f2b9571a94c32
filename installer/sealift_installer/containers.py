"""The engine's containers, whoever made them, and what of this host each has mounted.

Read before anything is removed: what a container has mounted must not go.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterator, Mapping, Optional, Tuple

from sealift_manifests.errors import InUseError
from sealift_manifests.image_entries import ImageEntry

from sealift_installer.engine import (
    Engine,
    EngineRefusedError,
    name_in_path,
    printable,
)

_PROJECT = "com.docker.compose.project"
_FOLDER = "com.docker.compose.project.working_dir"
_ENDING = 600.0
"""Seconds that a container may take to stop: an image may ask for minutes."""

_UP = ("running", "paused", "restarting")


@dataclass(frozen=True)
class Container:
    """A container, running or not, with all that it mounts and is made of.

    `places` are directories and files of this host, also those that a volume leads
    to; `volumes` are the volumes' names. `folder` is the directory of the Compose
    project that made it, "" for a container made otherwise.
    """

    id: str
    name: str
    is_up: bool
    project: str
    folder: str
    images: FrozenSet[str]
    volumes: FrozenSet[str]
    places: Tuple[str, ...]

    def has_image(self, image: ImageEntry) -> bool:
        """Say whether it was made of this image."""
        known = {image.reference, image.config.digest, image.manifest.digest}
        return bool(self.images & known)

    def mounts(self, path: str, root: str) -> bool:
        """Say whether it has `path` mounted: it, something in it, or a directory
        around it that is not above `root`.

        Above `root` are mounts such as `/` for a monitor, which would have everything.
        """
        return any(_meets(place, path, root) for place in self.places)


def stop_container(engine: Engine, container: Container) -> None:
    """Stop a container, if it runs; its own time to end is waited for."""
    try:
        path = f"/containers/{container.id}/stop"
        engine.request("POST", path, timeout=_ENDING).close()
    except EngineRefusedError as refusal:
        if refusal.status not in (304, 404):
            raise


def remove_container(engine: Engine, container: Container) -> None:
    """Remove a container that does not run. Its volumes stay, nameless ones too."""
    try:
        engine.send("DELETE", f"/containers/{container.id}")
    except EngineRefusedError as refusal:
        if refusal.status != 404:
            raise


def containers(engine: Engine) -> Tuple[Container, ...]:
    """Return every container of the engine, sorted by name."""
    found = []
    for listed in engine.get("/containers/json", all="1") or []:
        # The list may lack mounts, and a container may be gone by now.
        shown = engine.find(f"/containers/{listed['Id']}/json")
        if shown:
            found.append(_container(engine, shown))
    return tuple(sorted(found, key=lambda one: (one.name, one.id)))


def require_unmounted(engine: Engine, path: str, root: str) -> None:
    """Raise InUseError when a running container has something at `path` mounted.

    It would go on with the old directory, which is empty once it is removed.
    """
    for container in containers(engine):
        if container.is_up and container.mounts(path, root):
            raise InUseError(
                f"{path} is to be replaced, and container {container.name}, which "
                "runs, has something of it mounted",
                hint="Stop it (`stop`, if it is one of the stack's), then run this "
                "again.",
            )


def _container(engine: Engine, shown: Mapping[str, Any]) -> Container:
    config = shown.get("Config") or {}
    labels: Dict[str, Any] = config.get("Labels") or {}
    state = shown.get("State") or {}
    mounts = [each for each in shown.get("Mounts") or [] if isinstance(each, dict)]
    volumes = {str(each["Name"]) for each in mounts if each.get("Name")}
    return Container(
        id=str(shown.get("Id")),
        name=printable(shown.get("Name")).lstrip("/"),
        is_up=state.get("Status") in _UP or bool(state.get("Running")),
        project=str(labels.get(_PROJECT) or ""),
        folder=str(labels.get(_FOLDER) or ""),
        images=frozenset((str(config.get("Image")), _image_id(shown))),
        volumes=frozenset(volumes),
        places=tuple(_places(engine, mounts)),
    )


def _image_id(shown: Mapping[str, Any]) -> str:
    text = str(shown.get("Image"))
    return text if ":" in text else f"sha256:{text}"  # Podman leaves the kind out.


def _places(engine: Engine, mounts: Any) -> Iterator[str]:
    for mount in mounts:
        if mount.get("Source"):
            yield str(mount["Source"])
        device = _device(engine, str(mount["Name"])) if mount.get("Name") else None
        if device:
            yield device


def _device(engine: Engine, volume: str) -> Optional[str]:
    """Return the directory that a volume of any name leads to."""
    found = engine.find(f"/volumes/{name_in_path(volume)}") or {}
    device = (found.get("Options") or {}).get("device")
    return device if isinstance(device, str) and device.startswith("/") else None


def _meets(place: str, path: str, root: str) -> bool:
    ours = _identities(path, until=root)
    if not ours:
        return False
    theirs = _identities(place, until=None)
    return bool(theirs) and (theirs[0] in ours or ours[0] in theirs)


def _identities(path: str, until: Optional[str]) -> Tuple[Tuple[int, int], ...]:
    """Return what `path` and the directories above it are, up to `until`.

    By device and inode: the same directory may have several names.
    """
    found = []
    path, last = os.path.realpath(path), os.path.realpath(until) if until else os.sep
    while True:
        try:
            status = os.stat(path)
            found.append((status.st_dev, status.st_ino))
        except OSError:
            if not found:
                return ()
        if path in (last, os.sep):
            return tuple(found)
        path = os.path.dirname(path)
