"""Start, stop and look at the stack of a release."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from sealift_manifests.errors import StartError
from sealift_manifests.model import Manifest
from sealift_manifests.names import project_name
from sealift_manifests.preflight.findings import Acceptance
from sealift_manifests.trust import Trust

from sealift_installer import ledger
from sealift_installer.audit import audit
from sealift_installer.compose import Compose, Project
from sealift_installer.health import ServiceState, project_state, wait_healthy
from sealift_installer.host import Host
from sealift_installer.layout import Layout
from sealift_installer.nvidia_tables import tables_for
from sealift_installer.preflight import (
    NONE_ACCEPTED,
    Grounds,
    Verdict,
    accepted_fact,
    judge_gpus,
    surveys_in,
    tell,
)
from sealift_installer.releases import STACK_FOLDER, Release

DEFAULT_WAIT = 1800
"""Seconds to wait for health: loading a large model takes many minutes."""


@dataclass(frozen=True)
class StartOptions:
    """How to start: `deep` reads image layers, `wait` is in seconds."""

    deep: bool = False
    wait: int = DEFAULT_WAIT
    acceptance: Acceptance = NONE_ACCEPTED


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


def start(
    host: Host, release: Release, trust: Trust, options: StartOptions
) -> Tuple[Verdict, Tuple[ServiceState, ...]]:
    """Audit, look at the host, then bring the stack up and wait for its health."""
    project, manifest = project_of(release), release.manifest
    with host.locked():
        # What is cheap to know is said before hours are spent on hashing.
        host.engine_for(manifest)
        compose = Compose.find(host.engine)
        result = audit(host, release, trust, deep=options.deep)
        host.log("audit", manifest, clean=not result.drift)
        result.require_clean()
        host.report.step("audit: clean")
        surveys = surveys_in(manifest, release.document)
        grounds = Grounds(tables_for(host), options.acceptance, surveys)
        verdict = judge_gpus(host, manifest, grounds)
        verdict.require(f"{manifest.name} {manifest.version}")
        tell(host, verdict)
        compose.up(project, [image.reference for image in manifest.images])
        services = [s.name for s in manifest.stack.services] if manifest.stack else []
        host.report.step(f"waiting for {', '.join(services)} (up to {options.wait} s)")
        states = wait_healthy(host.engine, project.name, services, options.wait)
        host.log("start", manifest, **accepted_fact(verdict))
        return verdict, states


def stop(host: Host, release: Release) -> None:
    """Stop the stack's containers and keep them."""
    project = project_of(release)
    with host.locked():
        host.engine_for(release.manifest)
        Compose.find(host.engine).stop(project)
        host.log("stop", release.manifest)


def states_of(host: Host, release: Release) -> Tuple[ServiceState, ...]:
    """Return the containers of the release's stack, as the engine sees them."""
    if release.manifest.stack is None:
        return ()
    return project_state(host.engine, project_name(release.manifest.name))


def last_audit(layout: Layout, manifest: Manifest) -> Optional[Dict[str, Any]]:
    """Return the ledger's last line about an audit of this release.

    An audit of the release before it says nothing about this one.
    """
    entry = ledger.last_entry(layout, manifest.name, ("audit",))
    same = (entry.get("version"), entry.get("serial")) == (
        manifest.version,
        manifest.serial,
    )
    return entry if same else None
