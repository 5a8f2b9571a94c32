"""Start, stop and look at the stack of a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from sealift_manifests.errors import StartError
from sealift_manifests.names import project_name
from sealift_manifests.preflight.findings import Acceptance
from sealift_manifests.preflight.site import needs_at
from sealift_manifests.trust import Trust

from sealift_installer.audit import audit
from sealift_installer.compose import Compose
from sealift_installer.fallback import fall_back, find_served
from sealift_installer.health import DEFAULT_WAIT
from sealift_installer.history import note_started
from sealift_installer.host import Host
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
from sealift_installer.releases import Release
from sealift_installer.service_state import ServiceState, project_state
from sealift_installer.site import site_of
from sealift_installer.site_served import served_with
from sealift_installer.smoke import SmokeResult, run_smoke
from sealift_installer.stack import Starter, project_of, project_to_stop


@dataclass(frozen=True)
class StartOptions:
    """How to start: `deep` reads image layers, `wait` is in seconds.

    `fallback`: when a new release does not come up, the one before is started again.
    `smoke`: a release whose smoke tests fail has not come up.
    """

    deep: bool = False
    wait: int = DEFAULT_WAIT
    acceptance: Acceptance = NONE_ACCEPTED
    fallback: bool = True
    smoke: bool = True


@dataclass(frozen=True)
class Started:
    """A stack that came up: what was found on the host, its services, its answers."""

    verdict: Verdict
    states: Tuple[ServiceState, ...]
    smoke: Tuple[SmokeResult, ...]


def start(host: Host, release: Release, trust: Trust, options: StartOptions) -> Started:
    """Audit, look at the host, bring the stack up, wait for its health, and ask it.

    Raises FellBackError when it did not come up and the release before serves again.
    """
    project_of(release)
    manifest = release.manifest
    with host.locked():
        # What is cheap to know is said before hours are spent on hashing.
        host.engine_for(manifest)
        compose = Compose.find(host.engine)
        # Read once: what is judged is what is served, and what the ledger says.
        site = site_of(host.layout, manifest)
        site.require()
        result = audit(host, release, trust, deep=options.deep)
        host.log("audit", manifest, clean=not result.drift)
        result.require_clean()
        host.report.step("audit: clean")
        surveys = surveys_in(manifest, release.document)
        grounds = Grounds(tables_for(host), options.acceptance, surveys)
        verdict = judge_gpus(host, needs_at(manifest, site.values), grounds)
        verdict.require(release.title)
        tell(host, verdict)
        before = find_served(host, manifest.name) if options.fallback else None
        starter = Starter(host, compose, options.wait)
        try:
            states = starter.bring_up(release, site.values)
            smoke = run_smoke(host, release) if options.smoke else ()
        except StartError as error:
            host.log("start-failed", manifest)
            if before is None:
                raise
            raise fall_back(starter, trust, release, before, error) from error
        note_started(host.layout, manifest.name, release.name)
        served = served_with(site.values)
        host.log("start", manifest, **accepted_fact(verdict), **served)
        return Started(verdict, states, smoke)


def stop(host: Host, release: Release, *, at_once: bool = False) -> None:
    """Stop the stack's containers and keep them.

    With `at_once` also beside another command that is at work.
    """
    project = project_to_stop(host, release)
    with host.locked_if_free() if at_once else host.locked():
        host.engine_for(release.manifest)
        Compose.find(host.engine).stop(project)
        host.log("stop", release.manifest)


def states_of(host: Host, release: Release) -> Tuple[ServiceState, ...]:
    """Return the containers of the release's stack, as the engine sees them."""
    if release.manifest.stack is None:
        return ()
    return project_state(host.engine, project_name(release.manifest.name))
