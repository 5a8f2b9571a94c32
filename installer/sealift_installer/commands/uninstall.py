"""`uninstall`: take a bundle off this host, or one release that is not in use."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from sealift_manifests.errors import UsageError
from sealift_manifests.sizes import human

from sealift_installer.commands import Result, add_installed_name, require_yes
from sealift_installer.data_removal import data_of
from sealift_installer.host import Host
from sealift_installer.releases import bundles_with_releases, choose_name
from sealift_installer.uninstall import uninstall, uninstall_release

HELP = "remove a bundle: containers, volumes, images and weights no other needs"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    parser.add_argument(
        "--release",
        metavar="VERSION",
        help="remove only this release, by its version or its root; not the one in use",
    )
    parser.add_argument(
        "--volumes",
        nargs="?",
        const="",
        metavar="NAME",
        help="remove the volumes of data too, and the copies that were kept of them; "
        "without them on the command line, the bundle's NAME is asked for",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: Namespace, host: Host) -> Result:
    """Remove the bundle, or the release, after asking."""
    name = args.name or _only_one(host)
    # An empty version, maybe of an unset variable, must not mean the whole bundle.
    is_whole = args.release is None
    what = name if is_whole else f"{name} {args.release}"
    with_data = args.volumes is not None
    if with_data:
        _require_sure(host, name, args, is_whole=is_whole)
    if not args.yes:
        question = f"Remove {what} with its weights and images?"
        require_yes(question, f"{what} was not removed")
    if is_whole:
        removed = uninstall(host, name, with_data=with_data)
    else:
        removed = uninstall_release(host, name, args.release)
    text = (
        f"{what} is removed: {len(removed.images)} images, {len(removed.volumes)} "
        f"volumes, {human(removed.freed)} of weights"
    )
    kept = data_of(host, name)
    text += "".join(f"\ndata removed: {volume}" for volume in removed.data)
    text += "".join(f"\ndata kept: {volume}" for volume in kept)
    return text, {
        "bundle": name,
        "releases": list(removed.releases),
        "images": list(removed.images),
        "volumes": list(removed.volumes),
        "freed": removed.freed,
        "data_removed": list(removed.data),
        "data_kept": list(kept),
    }


def _require_sure(host: Host, name: str, args: Namespace, *, is_whole: bool) -> None:
    """Ask for the bundle's name before its data goes, unless it was given."""
    if not is_whole:
        raise UsageError(
            "--volumes does not go with --release: all releases share the data",
            hint="Leave --volumes out, or uninstall the whole bundle.",
        )
    given = args.volumes
    if not given and sys.stdin.isatty():
        volumes = ", ".join(data_of(host, name)) or "none"
        print(f"Data that will be gone for good: {volumes}")
        print(f"Type the bundle's name ({name}) to go on: ", end="", flush=True)
        given = sys.stdin.readline().strip()
    if given != name:
        raise UsageError(
            f"{name} was not removed: nobody agreed that its data goes",
            hint=f"To be sure, say --volumes={name}.",
        )


def _only_one(host: Host) -> str:
    # Not only by what is in use: an uninstall that was cut off has ended that.
    names = bundles_with_releases(host.layout)
    return names[0] if len(names) == 1 else choose_name(host.layout, None)
