"""`smoke`: ask the running services what the bundle's smoke tests ask."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests.errors import StartError

from sealift_installer.commands import Result, add_installed_name
from sealift_installer.host import Host
from sealift_installer.overview import running_instead
from sealift_installer.releases import choose
from sealift_installer.smoke import run_smoke
from sealift_installer.stack import project_of


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)


def run(args: Namespace, host: Host) -> Result:
    """Run the smoke tests of the release in use."""
    release = choose(host.layout, args.name)
    project_of(release)
    running = running_instead(host, release)
    if running is not None:
        raise StartError(
            f"{release.title} is in use, and what runs is {running.title}: its answers "
            "say nothing about the one in use",
            hint="`start` brings the release in use up, and asks it.",
            facts={"running": running.name},
        )
    results = run_smoke(host, release)
    lines = list(map(str, results)) or [f"{release.title} has no smoke tests"]
    return "\n".join(lines), {
        "bundle": release.manifest.name,
        "version": release.manifest.version,
        "smoke": [result.facts() for result in results],
    }
