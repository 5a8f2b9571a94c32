"""`stop`: stop the stack and keep its containers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_installer.commands import Result, add_installed_name
from sealift_installer.host import Host
from sealift_installer.releases import choose
from sealift_installer.running import stop


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="also while another command is at work, as the systemd unit does",
    )


def run(args: Namespace, host: Host) -> Result:
    """Stop the release in use."""
    release = choose(host.layout, args.name)
    stop(host, release, at_once=args.at_once)
    return f"{release.manifest.name} is stopped", {"bundle": release.manifest.name}
