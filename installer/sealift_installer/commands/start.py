"""`start`: audit, bring the stack up with nothing pulled, wait for health, ask it.

When a release that never came up does not come up, the one before is started again.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import List

from sealift_manifests.preflight.words import acceptance_of

from sealift_installer.commands import (
    Result,
    add_accept,
    add_installed_name,
    add_set,
    add_start_options,
    add_trust_options,
    named_keys,
)
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_install
from sealift_installer.releases import Release, choose
from sealift_installer.running import Started, StartOptions, start
from sealift_installer.site import given_pairs
from sealift_installer.site_changes import settle_to_start


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    add_trust_options(parser)
    add_accept(parser)
    add_set(parser)
    add_start_options(parser)
    parser.add_argument(
        "--wait-for-lock",
        action="store_true",
        help="while another command is at work, wait for it, as the systemd unit does",
    )


def run(args: Namespace, host: Host) -> Result:
    """Start the release in use."""
    if args.wait_for_lock:
        host = replace(host, waits=True)
        with host.locked():
            pass  # What is in use is known when the other command is done.
    return start_release(args, host, choose(host.layout, args.name))


def start_release(args: Namespace, host: Host, release: Release) -> Result:
    """Start this release as the options say."""
    trust = trust_to_install(host.layout, named_keys(args))
    acceptance = acceptance_of(args.accept)
    settle_to_start(host, release.manifest, given_pairs(args.set))
    options = StartOptions(
        args.layers,
        args.wait,
        acceptance,
        fallback=not args.no_fallback,
        smoke=not args.no_smoke,
    )
    started = start(host, release, trust, options)
    manifest = release.manifest
    return "\n".join([f"{manifest.name} is up", *_lines(args, release, started)]), {
        "bundle": manifest.name,
        "version": manifest.version,
        "services": {state.service: str(state) for state in started.states},
        "smoke": [result.facts() for result in started.smoke],
        "smoke_left_out": args.no_smoke,
        **started.verdict.facts(),
    }


def _lines(args: Namespace, release: Release, started: Started) -> List[str]:
    lines = [f"{state.service}: {state}" for state in started.states]
    lines += [str(result) for result in started.smoke]
    stack = release.manifest.stack
    if args.no_smoke and stack and stack.smoke:
        lines.append("the smoke tests were left out (--no-smoke)")
    return lines
