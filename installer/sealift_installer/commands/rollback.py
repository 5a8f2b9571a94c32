"""`rollback`: put a release in use again that is still installed.

By default the one that was in use before. It starts nothing, unless --start is given.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests.errors import UsageError

from sealift_installer.commands import (
    Result,
    add_accept,
    add_installed_name,
    add_set,
    add_start_options,
    add_trust_options,
    named_keys,
    start_command,
)
from sealift_installer.commands.start import start_release
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_install
from sealift_installer.rollback import rollback


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    parser.add_argument(
        "--to",
        metavar="VERSION",
        help="the release to go to, by its version or its root; see `releases`",
    )
    parser.add_argument(
        "--start", action="store_true", help="audit and start it at once"
    )
    add_trust_options(parser)
    add_accept(parser)
    add_set(parser)
    add_start_options(parser)


def run(args: Namespace, host: Host) -> Result:
    """Switch, then start or say how to."""
    if args.set and not args.start:
        raise UsageError(
            "--set is for a start, and nothing is started",
            hint="Add --start, or use `settings --set`.",
        )
    trust = trust_to_install(host.layout, named_keys(args))
    done = rollback(host, args.name, args.to, trust)
    release, manifest = done.release, done.release.manifest
    text = f"{release.title} ({release.name}) is in use"
    text += f", {done.left} was before" if done.left else " already"
    facts = {
        "bundle": manifest.name,
        "version": manifest.version,
        "release": release.path,
        "left": done.left,
        "changed": done.left is not None,
    }
    if args.start and manifest.stack:
        host.report.step(text)
        told, started = start_release(args, host, release)
        return told, {**started, **facts}
    if manifest.stack:
        text += f"\nnext: {start_command(host, manifest.name)}"
    return text, facts
