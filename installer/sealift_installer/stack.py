"""The stack of one release: its Compose project, brought up and seen healthy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Tuple

from sealift_manifests.errors import StartError
from sealift_manifests.names import project_name

from sealift_installer.compose import Compose, Project
from sealift_installer.health import ServiceState, wait_healthy
from sealift_installer.host import Host
from sealift_installer.releases import STACK_FOLDER, Release


def project_of(release: Release) -> Project:
    """Return the Compose project of a release; raise StartError without a stack."""
    file = release.compose_file
    if file is None:
        raise StartError(
            f"{release.manifest.name} has no stack: there is nothing to start or stop",
            hint="Its weights are staged; see `status` for where they lie.",
        )
    # Compose reads `.env`, and starts relative paths, from here: a place that the
    # audit knows every file of.
    folder = os.path.join(release.path, STACK_FOLDER)
    return Project(project_name(release.manifest.name), file, folder)


@dataclass(frozen=True)
class Starter:
    """Brings stacks up on a host, waiting `wait` seconds for each."""

    host: Host
    compose: Compose
    wait: int

    def bring_up(self, release: Release) -> Tuple[ServiceState, ...]:
        """Start a stack in place of what runs of its bundle; wait for its health.

        Raises StartError when it cannot come up, or is not up in time.
        """
        project, manifest = project_of(release), release.manifest
        self.compose.up(project, [image.reference for image in manifest.images])
        services = [s.name for s in manifest.stack.services] if manifest.stack else []
        self.host.report.step(
            f"waiting for {', '.join(services)} (up to {self.wait} s)"
        )
        return wait_healthy(self.host.engine, project.name, services, self.wait)
