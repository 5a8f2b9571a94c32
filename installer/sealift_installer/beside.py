"""The engine's containers beside the releases, and which release each belongs to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Dict, Iterable, Optional, Tuple

from sealift_manifests.names import project_name

from sealift_installer.containers import Container, containers
from sealift_installer.engine import Engine
from sealift_installer.host import Host
from sealift_installer.releases import STACK_FOLDER, Release
from sealift_installer.standing import Standing


@dataclass(frozen=True)
class Beside:
    """All containers of the engine; `owners` has the release of each that is ours.

    By the container's ID, the release's path.
    """

    containers: Tuple[Container, ...] = ()
    owners: Dict[str, str] = field(default_factory=dict)

    def is_own(self, container: Container, release: Release) -> bool:
        """Say whether it is a container of this release's stack."""
        return self.owners.get(container.id) == release.path

    def runs(self, release: Release) -> bool:
        """Say whether a container of this release's stack runs."""
        return any(c.is_up and self.is_own(c, release) for c in self.containers)


def beside(engine: Engine, standings: Iterable[Standing]) -> Beside:
    """Ask the engine for its containers, and find the release of each."""
    found, standings = containers(engine), tuple(standings)
    owners = {}
    for container in found:
        for standing in standings:
            release = owner(standing, container)
            if release is not None:
                owners[container.id] = release.path
    return Beside(found, owners)


def owner(standing: Standing, container: Container) -> Optional[Release]:
    """Return the release that a container belongs to, or None for one of others.

    Its label names the release that made it. A later one that needed it unchanged has
    kept it: then it belongs to the last one that came up.
    """
    if container.project != project_name(standing.bundle) or not container.folder:
        return None
    folder = os.path.realpath(container.folder)
    made = [one for one in standing.releases if _stack(one) == folder]
    if made and made[0] is standing.current:
        return made[0]
    return standing.started or (made[0] if made else None)


def _stack(release: Release) -> str:
    return os.path.realpath(os.path.join(release.path, STACK_FOLDER))


def beside_needed(host: Host, standings: Iterable[Standing]) -> Optional[Beside]:
    """Return the containers beside releases; None where there is no engine.

    Raises EngineError when a release is in an engine that does not answer: what its
    containers have mounted is not known then.
    """
    standings = tuple(standings)
    if any(_has_engine(one) for standing in standings for one in standing.releases):
        host.engine.facts()
    elif host.engine.probe() is None:
        return None
    return beside(host.engine, standings)


def _has_engine(release: Release) -> bool:
    manifest = release.manifest
    needs = manifest.images or manifest.stack or manifest.volumes
    return bool(release.record.engine or needs)
