"""Volumes of data in the engine: made, filled and read through a container.

The container is made of an empty image, never started, and removed. The engine keeps
owners and modes so, wherever it keeps its volumes, and whoever may write there.
"""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager, suppress
from typing import IO, Any, Dict, Iterator, Mapping, Optional, cast
from urllib.parse import urlencode

from sealift_manifests.digests import Buffer
from sealift_manifests.errors import EngineError, StagingError

from sealift_installer.data_archive import FOLDER
from sealift_installer.engine import Engine, name_in_path, printable, with_query

TOKEN = "sealift.data.token"
"""The label by which a volume is known as the one that a record speaks of."""

OWNER = "sealift.data.bundle"
_HOLDER = "sealift.data.holder"
_PREFIX = "sealift-holder."
_EMPTY = "sealift-empty"
_TAG = "install"
_MOST_ANSWER = 1 << 20


def find_volume(engine: Engine, name: str) -> Optional[Mapping[str, Any]]:
    """Return what the engine says of a volume; None when it has none of this name."""
    found = engine.find(f"/volumes/{name_in_path(name)}")
    return found if isinstance(found, dict) else None


def token_of(volume: Mapping[str, Any]) -> str:
    """Return the token of a volume, "" for one that Sealift did not make."""
    return str((volume.get("Labels") or {}).get(TOKEN) or "")


def owner_of(volume: Mapping[str, Any]) -> str:
    """Return the bundle that a volume was made for, "" for one of others."""
    return str((volume.get("Labels") or {}).get(OWNER) or "")


def make_volume(engine: Engine, name: str, labels: Mapping[str, str]) -> None:
    """Make an empty volume; raise StagingError if there is one of this name."""
    wanted = {"Name": name, "Driver": "local", "Labels": dict(labels)}
    # For a name that exists an engine says yes, and gives what was there.
    made = engine.send("POST", "/volumes/create", wanted)
    if token_of(made) != labels[TOKEN]:
        raise StagingError(
            f"a volume {name} has come up meanwhile, which is another's",
            hint="Find out who makes it; then run this again.",
        )


def used_size(engine: Engine, name: str) -> int:
    """Return the bytes that a volume takes, as the engine counts them."""
    found = engine.get("/system/df", type="volume") or {}
    for volume in found.get("Volumes") or []:
        if volume.get("Name") == name:
            usage = volume.get("UsageData") or {}
            return max(0, int(usage.get("Size") or 0))
    return 0


@contextmanager
def held(engine: Engine, name: str) -> Iterator[str]:
    """Give the ID of a container that has the volume and does not run."""
    if engine.find(f"/images/{_EMPTY}:{_TAG}/json") is None:
        _make_empty_image(engine)
    wanted: Dict[str, Any] = {
        "Image": f"{_EMPTY}:{_TAG}",
        "Entrypoint": ["/sealift-never-started"],
        "Labels": {_HOLDER: name},
        "NetworkDisabled": True,
        "HostConfig": {
            "NetworkMode": "none",
            # nocopy, or an engine fills a volume that is empty from the image.
            "Binds": [f"{name}:/{FOLDER}:nocopy"],
        },
    }
    container = f"{_PREFIX}{name}.{uuid.uuid4().hex[:12]}"
    try:
        engine.send("POST", with_query("/containers/create", name=container), wanted)
        yield container
    finally:
        with suppress(EngineError):
            _drop(engine, container)
        with suppress(EngineError):
            engine.send("DELETE", f"/images/{_EMPTY}:{_TAG}")


def write_archive(engine: Engine, container: str, pieces: Iterator[Buffer]) -> None:
    """Unpack a tar of `FOLDER` into the volume that a container holds."""
    target = _archive(container, "/")
    # No time limit: after the last byte an engine may write for long in silence.
    engine.request("PUT", target, pieces, timeout=None).close()


@contextmanager
def read_archive(engine: Engine, container: str) -> Iterator[IO[bytes]]:
    """Give the volume that a container holds as a tar of `FOLDER`."""
    source = _archive(container, f"/{FOLDER}")
    with engine.request("GET", source, timeout=None) as answer:
        yield cast("IO[bytes]", answer)  # Of which tarfile only calls `read`.


def sweep_holders(engine: Engine) -> None:
    """Remove the containers that a run which was killed has left."""
    filters = json.dumps({"label": [_HOLDER], "status": ["created"]})
    for container in engine.get("/containers/json", all="1", filters=filters) or []:
        with suppress(EngineError):
            _drop(engine, str(container["Id"]))


def is_holder(name: str) -> bool:
    """Say whether this is the name of a container that holds a volume for us."""
    return name.startswith(_PREFIX)


def _archive(container: str, place: str) -> str:
    return f"/containers/{container}/archive?{urlencode({'path': place})}"


def _drop(engine: Engine, container: str) -> None:
    engine.send("DELETE", with_query(f"/containers/{container}", force="1"))


def _make_empty_image(engine: Engine) -> None:
    # Two blocks of zeros are a tar with nothing in it.
    path = with_query("/images/create", fromSrc="-", repo=_EMPTY, tag=_TAG)
    with engine.request("POST", path, iter([bytes(1024)])) as answer:
        said = b""
        while len(said) < _MOST_ANSWER:
            piece = answer.read()
            if not piece:
                break
            said += piece
    if b'"error"' in said:
        words = printable(said.decode("utf-8", "replace"))
        raise EngineError(
            f"the engine makes no empty image: {words}",
            hint="See its log (`journalctl -u docker`), then run this again.",
        )
