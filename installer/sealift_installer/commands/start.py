"""`start`: audit, bring the stack up with nothing pulled, wait for health."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests.preflight.words import acceptance_of

from sealift_installer.commands import (
    Result,
    add_accept,
    add_installed_name,
    add_trust_options,
    named_keys,
)
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_install
from sealift_installer.releases import choose
from sealift_installer.running import DEFAULT_WAIT, StartOptions, start

HELP = "audit, then start the stack and wait until it is healthy"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    add_trust_options(parser)
    add_accept(parser)
    parser.add_argument(
        "--layers",
        action="store_true",
        help="read the images' layers back out of the engine in the audit",
    )
    parser.add_argument(
        "--wait",
        type=int,
        default=DEFAULT_WAIT,
        metavar="SECONDS",
        help="how long to wait for health (default %(default)s)",
    )


def run(args: Namespace, host: Host) -> Result:
    """Start the release in use."""
    release = choose(host.layout, args.name)
    trust = trust_to_install(host.layout, named_keys(args))
    options = StartOptions(args.layers, args.wait, acceptance_of(args.accept))
    verdict, states = start(host, release, trust, options)
    lines = [f"{state.service}: {state}" for state in states]
    name = release.manifest.name
    return "\n".join([f"{name} is up", *lines]), {
        "bundle": name,
        "version": release.manifest.version,
        "services": {state.service: str(state) for state in states},
        **verdict.facts(),
    }
