"""The stack of one release: its Compose project, brought up and seen healthy."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Mapping, Tuple

from sealift_manifests.errors import StartError
from sealift_manifests.names import is_volume_of, project_name, volume_name

from sealift_installer.compose import Compose, Project
from sealift_installer.containers import (
    containers,
    remove_container,
    stop_container,
)
from sealift_installer.health import wait_healthy
from sealift_installer.host import Host
from sealift_installer.readiness import Readiness
from sealift_installer.releases import STACK_FOLDER, Release
from sealift_installer.service_state import ServiceState
from sealift_installer.site import variables
from sealift_installer.site_served import to_stop
from sealift_installer.waiting import Waiting


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


def project_to_stop(host: Host, release: Release) -> Project:
    """Return the project with variables enough for Compose to end what runs of it."""
    found = to_stop(host.layout, release.manifest)
    return replace(project_of(release), variables=found)


@dataclass(frozen=True)
class Starter:
    """Brings stacks up on a host, waiting `wait` seconds for each."""

    host: Host
    compose: Compose
    wait: int

    def bring_up(
        self, release: Release, values: Mapping[str, str]
    ) -> Tuple[ServiceState, ...]:
        """Start a stack in place of what runs of its bundle; wait for its health.

        `values` are those of its settings: the site file is not read again here.
        Raises StartError when it cannot come up, or is not up in time.
        """
        manifest = release.manifest
        given = variables(self.host.layout, manifest, values)
        project = replace(project_of(release), variables=given)
        references = [image.reference for image in manifest.images]
        self.compose.require_images(project, references)
        self._end_other_weights(release)
        self.compose.up(project, references)
        services = [s.name for s in manifest.stack.services] if manifest.stack else []
        self.host.report.step(
            f"waiting for {', '.join(services)} (up to {self.wait} s)"
        )
        engine, ready = self.host.engine, Readiness(self.host.engine, manifest.stack)
        return wait_healthy(
            engine,
            project.name,
            services,
            self.wait,
            progress=Waiting(engine, self.host.report.step, ready.said),
            ready=ready,
            said=ready.said,
        )

    def _end_other_weights(self, release: Release) -> None:
        """Remove the stack's containers that have the weights of another release.

        docker-compose 1 hands the old container's volume to the new one, and its digest
        of a service does not cover what a volume leads to.
        """
        manifest = release.manifest
        own = {volume_name(manifest.name, m.name, m.tree) for m in manifest.models}
        for container in containers(self.host.engine):
            if container.project != project_name(manifest.name):
                continue
            weights = {n for n in container.volumes if is_volume_of(n, manifest.name)}
            if weights - own:
                stop_container(self.host.engine, container)
                remove_container(self.host.engine, container)
