"""`diagnose`: what is wrong with the stack now, and what to do; exit code 43."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests.errors import StartError
from sealift_manifests.names import project_name

from sealift_installer.commands import Result, add_installed_name
from sealift_installer.failure import describe
from sealift_installer.host import Host
from sealift_installer.releases import choose
from sealift_installer.running import states_of
from sealift_installer.stack import project_of

HELP = "say what is wrong with the running stack, with known causes and remedies"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)


def run(args: Namespace, host: Host) -> Result:
    """Look at every container of the release in use, and at those that are missing."""
    release = choose(host.layout, args.name)
    project_of(release)
    stack, name = release.manifest.stack, release.manifest.name
    states, now = states_of(host, release), host.now()
    there = {state.service for state in states}
    expected = [service.name for service in stack.services] if stack else []
    lines = [
        f"service {each} has no container" for each in expected if each not in there
    ]
    hint = "See the whole log with `logs`; `start` brings the stack up again."
    facts = []
    for state in states:
        fault = state.fault_at(now)
        if fault is None:
            continue
        told, causes = describe(host.engine, state)
        lines += [told[0], f"  {fault}", *told[1:]]
        hint = causes[0].remedy if causes else hint
        facts.append(
            {
                "service": state.service,
                "container": state.container,
                "state": str(state),
                "fault": fault,
                "causes": [dict(vars(cause)) for cause in causes],
            }
        )
    if lines:
        told_ = "\n".join([f"{project_name(name)} is not well", *lines])
        raise StartError(told_, hint=hint, facts={"services": facts})
    running = ", ".join(f"{state.service} {state}" for state in states)
    return f"nothing is wrong with {release.title}: {running}", {
        "bundle": name,
        "services": [],
    }
