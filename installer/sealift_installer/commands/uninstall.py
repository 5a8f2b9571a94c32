"""`uninstall`: take a bundle off this host, or one release that is not in use."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import List, Optional, Tuple

from sealift_manifests.errors import NotInstalledError, UsageError
from sealift_manifests.paths import is_label
from sealift_manifests.sizes import counted, human

from sealift_installer.commands import Result, add_installed_name, require_yes
from sealift_installer.data_removal import data_of, data_to_show
from sealift_installer.host import Host
from sealift_installer.releases import bundles_with_releases, choose_name
from sealift_installer.site_changes import forget_site, left_of_site
from sealift_installer.systemd_unit import FOLDER, unit_name
from sealift_installer.uninstall import (
    uninstall,
    uninstall_data,
    uninstall_release,
)


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    parser.add_argument(
        "--release",
        metavar="VERSION",
        help="remove only this release, by its version or its root; not the one in use",
    )
    parser.add_argument(
        "--settings",
        action="store_true",
        help="remove this site's settings and secrets too; they stay otherwise",
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
    _require_whole(args)
    _ask(host, args, name, what)
    if args.settings and name not in bundles_with_releases(host.layout):
        return _forget(host, name, with_data=with_data)
    if is_whole:
        removed = uninstall(host, name, with_data=with_data)
    else:
        removed = uninstall_release(host, name, args.release)
    kept = [] if args.settings or not is_whole else left_of_site(host, name)
    forgotten = forget_site(host, name) if args.settings else []
    data_kept = data_to_show(host, name)
    unit = _unit_of(name) if is_whole else None
    lines = [
        f"{what} is removed: {counted(len(removed.images), 'image')}, "
        f"{counted(len(removed.volumes), 'volume')}, {human(removed.freed)} of weights",
        *(f"kept: {path}; --settings removes it" for path in kept),
        *(f"removed: {path}" for path in forgotten),
        *(f"data removed: {volume}" for volume in removed.data),
        *(f"data kept: {volume}" for volume in data_kept),
        *([f"kept: {unit}; {_unit_ends(unit)}"] if unit else []),
    ]
    return "\n".join(lines), {
        "bundle": name,
        "releases": list(removed.releases),
        "images": list(removed.images),
        "volumes": list(removed.volumes),
        "freed": removed.freed,
        "settings_kept": kept,
        "settings_removed": forgotten,
        "data_removed": list(removed.data),
        "data_kept": list(data_kept),
        "unit_kept": unit,
    }


def _unit_of(name: str) -> Optional[str]:
    """Return the unit that starts this bundle at boot, if it is in the usual place."""
    path = os.path.join(FOLDER, unit_name(name))
    return path if os.path.lexists(path) else None


def _unit_ends(path: str) -> str:
    disable = f"systemctl disable {os.path.basename(path)}"
    return f"`{disable} && rm {path}` ends its start at boot"


def _forget(host: Host, name: str, *, with_data: bool) -> Result:
    """Remove what an uninstall before has left: of the site, and data if it is to go.

    The data first: if it cannot go, all is still there for another try.
    """
    forgotten: List[str] = []
    removed: Tuple[str, ...] = ()
    # A name that is a path would lead to files of others.
    if is_label(name):
        removed = uninstall_data(host, name).data if with_data else ()
        forgotten = forget_site(host, name)
    if not forgotten and not removed:
        raise NotInstalledError(
            f"{name} is not installed, and {host.layout.config} has no settings of it",
            hint="See `status` for what is installed, or give its --config-dir.",
        )
    data_kept = data_to_show(host, name)
    lines = [
        *(f"removed: {path}" for path in forgotten),
        *(f"data removed: {volume}" for volume in removed),
        *(f"data kept: {volume}" for volume in data_kept),
    ]
    return "\n".join(lines), {
        "bundle": name,
        "settings_removed": forgotten,
        "data_removed": list(removed),
        "data_kept": list(data_kept),
    }


def _ask(host: Host, args: Namespace, name: str, what: str) -> None:
    """Ask whether all of this shall go, unless the options say so."""
    if args.volumes is not None:
        _require_sure(host, name, args.volumes)
    if not args.yes:
        question = f"Remove {what} with its weights and images?"
        require_yes(question, f"{what} was not removed")


def _require_whole(args: Namespace) -> None:
    """Raise UsageError when one release is to go with what all of them share."""
    shared = {"--settings": args.settings, "--volumes": args.volumes is not None}
    for option in (name for name, is_given in shared.items() if is_given):
        if args.release is not None:
            raise UsageError(
                f"{option} does not go with --release: all releases share these",
                hint=f"Leave {option} out, or uninstall the whole bundle.",
            )


def _require_sure(host: Host, name: str, given: str) -> None:
    """Ask for the bundle's name before its data goes, unless it was given."""
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
