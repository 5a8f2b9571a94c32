"""`uninstall`: take a bundle off this host."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from sealift_manifests.errors import UsageError
from sealift_manifests.sizes import human

from sealift_installer.commands import Result, add_installed_name
from sealift_installer.host import Host
from sealift_installer.releases import bundles_with_releases, choose
from sealift_installer.uninstall import uninstall

HELP = "remove a bundle: containers, volumes, images and weights no other needs"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: Namespace, host: Host) -> Result:
    """Remove the bundle after asking."""
    name = args.name or _only_one(host)
    if not args.yes:
        _ask(name)
    removed = uninstall(host, name)
    text = (
        f"{name} is removed: {len(removed.images)} images, {len(removed.volumes)} "
        f"volumes, {human(removed.freed)} of weights"
    )
    return text, {
        "bundle": name,
        "releases": list(removed.releases),
        "images": list(removed.images),
        "volumes": list(removed.volumes),
        "freed": removed.freed,
    }


def _only_one(host: Host) -> str:
    # Not only by what is in use: an uninstall that was cut off has ended that.
    names = bundles_with_releases(host.layout)
    return names[0] if len(names) == 1 else choose(host.layout, None).manifest.name


def _ask(name: str) -> None:
    if sys.stdin.isatty():
        print(f"Remove {name} with its weights and images? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise UsageError(
        f"{name} was not removed: nobody agreed",
        hint="Run it again with --yes.",
    )
