"""The containers of one Compose project, as the engine shows them."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Mapping

from sealift_installer.engine import Engine, printable

PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ONE_OFF = "com.docker.compose.oneoff"


def filter_of(project: str) -> str:
    """Return the engine's filter for what belongs to a project."""
    return json.dumps({"label": [f"{PROJECT}={project}"]})


def listed(engine: Engine, project: str) -> List[Dict[str, Any]]:
    """Return the engine's short list of a project's containers, running or not."""
    return engine.get("/containers/json", all="1", filters=filter_of(project)) or []


def containers_of(engine: Engine, project: str) -> Iterator[Dict[str, Any]]:
    """Yield all that the engine tells of each container of a service."""
    for each in listed(engine, project):
        found = engine.find(f"/containers/{each['Id']}/json")
        # One that is gone by now, or was made by `compose run`, is no service.
        if found and labels_of(found).get(_ONE_OFF) != "True":
            yield found


def labels_of(shown: Mapping[str, Any]) -> Dict[str, str]:
    """Return a container's labels."""
    return (shown.get("Config") or {}).get("Labels") or {}


def service_of(shown: Mapping[str, Any]) -> str:
    """Return the service that a container is of."""
    return printable(labels_of(shown).get(_SERVICE))


def name_of(shown: Mapping[str, Any]) -> str:
    """Return a container's name."""
    return printable(shown.get("Name")).lstrip("/")
