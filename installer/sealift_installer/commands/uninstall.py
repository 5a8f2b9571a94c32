"""`uninstall`: take a bundle off this host, or one release that is not in use."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests.errors import NotInstalledError, UsageError
from sealift_manifests.paths import is_label
from sealift_manifests.sizes import counted, human

from sealift_installer.commands import Result, add_installed_name, require_yes
from sealift_installer.host import Host
from sealift_installer.releases import bundles_with_releases, choose_name
from sealift_installer.site_changes import forget_site, left_of_site
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
        "--settings",
        action="store_true",
        help="remove this site's settings and secrets too; they stay otherwise",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: Namespace, host: Host) -> Result:
    """Remove the bundle, or the release, after asking."""
    name = args.name or _only_one(host)
    # An empty version, maybe of an unset variable, must not mean the whole bundle.
    is_whole = args.release is None
    what = name if is_whole else f"{name} {args.release}"
    if args.settings and not is_whole:
        raise UsageError(
            "--settings does not go with --release: all releases share them",
            hint="Leave it out, or uninstall the whole bundle.",
        )
    if not args.yes:
        question = f"Remove {what} with its weights and images?"
        require_yes(question, f"{what} was not removed")
    if args.settings and name not in bundles_with_releases(host.layout):
        return _forget(host, name)
    if is_whole:
        removed = uninstall(host, name)
    else:
        removed = uninstall_release(host, name, args.release)
    text = (
        f"{what} is removed: {counted(len(removed.images), 'image')}, "
        f"{counted(len(removed.volumes), 'volume')}, {human(removed.freed)} of weights"
    )
    kept = [] if args.settings or not is_whole else left_of_site(host, name)
    forgotten = forget_site(host, name) if args.settings else []
    text += "".join(f"\nkept: {path}; --settings removes it" for path in kept)
    text += "".join(f"\nremoved: {path}" for path in forgotten)
    return text, {
        "bundle": name,
        "releases": list(removed.releases),
        "images": list(removed.images),
        "volumes": list(removed.volumes),
        "freed": removed.freed,
        "settings_kept": kept,
        "settings_removed": forgotten,
    }


def _forget(host: Host, name: str) -> Result:
    """Remove what an uninstall before has left of the site."""
    # A name that is a path would lead to files of others.
    forgotten = forget_site(host, name) if is_label(name) else []
    if not forgotten:
        raise NotInstalledError(
            f"{name} is not installed, and {host.layout.config} has no settings of it",
            hint="See `status` for what is installed, or give its --config-dir.",
        )
    return "\n".join(f"removed: {path}" for path in forgotten), {
        "bundle": name,
        "settings_removed": forgotten,
    }


def _only_one(host: Host) -> str:
    # Not only by what is in use: an uninstall that was cut off has ended that.
    names = bundles_with_releases(host.layout)
    return names[0] if len(names) == 1 else choose_name(host.layout, None)
