"""`diagnose`: what is wrong with the stack now, and what to do; exit code 43."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Dict, Iterable, Iterator, Optional, Tuple

from sealift_manifests.errors import StartError
from sealift_manifests.names import project_name
from sealift_manifests.stack_entries import StackEntry

from sealift_installer.commands import Result, add_installed_name
from sealift_installer.diagnosis import Cause
from sealift_installer.failure import describe
from sealift_installer.host import Host
from sealift_installer.overview import running_instead
from sealift_installer.readiness import Readiness
from sealift_installer.releases import choose
from sealift_installer.running import states_of
from sealift_installer.service_state import ServiceState
from sealift_installer.stack import project_of


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)


def run(args: Namespace, host: Host) -> Result:
    """Look at every container of the release that runs, and at those that are missing.

    That is the one in use, unless it was not started yet.
    """
    release = choose(host.layout, args.name)
    project_of(release)
    running = running_instead(host, release)
    note = [f"{release.title} is in use and not started yet"] if running else []
    release = running or release
    stack, name = release.manifest.stack, release.manifest.name
    states = states_of(host, release)
    there = {state.service for state in states}
    expected = [service.name for service in stack.services] if stack else []
    lines = [
        f"service {each} has no container" for each in expected if each not in there
    ]
    hint = "See the whole log with `logs`; `start` brings the stack up again."
    facts = []
    for state, fault in _faults(host, stack, states):
        told, causes = describe(host.engine, state)
        lines += [told[0], f"  {fault}", *told[1:]]
        hint = causes[0].remedy if causes else hint
        facts.append(_fact(state, fault, causes))
    common = {"release": release.name, "services": facts}
    if lines:
        told_ = "\n".join([f"{project_name(name)} is not well", *note, *lines])
        raise StartError(told_, hint=hint, facts=common)
    states_told = ", ".join(f"{state.service} {state}" for state in states)
    text = "\n".join([*note, f"nothing is wrong with {release.title}: {states_told}"])
    return text, {"bundle": name, **common}


def _faults(
    host: Host, stack: Optional[StackEntry], states: Iterable[ServiceState]
) -> Iterator[Tuple[ServiceState, str]]:
    """Yield what is wrong by a container's state, or by what its server answers."""
    ready, now = Readiness(host.engine, stack), host.now()
    for state in states:
        fault = state.fault_at(now) or ready.fault_of(state)
        if fault is not None:
            yield state, fault


def _fact(state: ServiceState, fault: str, causes: Iterable[Cause]) -> Dict[str, Any]:
    return {
        "service": state.service,
        "container": state.container,
        "state": str(state),
        "fault": fault,
        "causes": [cause.facts() for cause in causes],
    }
