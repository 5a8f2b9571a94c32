"""The commands of the installer, one module each: options in, a report out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Dict, List, Tuple

from sealift_manifests.errors import UsageError

from sealift_installer.host_trust import KeyFile, NamedKeys

Result = Tuple[str, Dict[str, Any]]
"""What a command says at its end: text for people, facts for --json."""


def add_trust_options(parser: ArgumentParser) -> None:
    """Declare the options that name trusted keys."""
    group = parser.add_argument_group(
        "trust", "keys that came by another way than the bundle"
    )
    group.add_argument(
        "--allowed-signers",
        action="append",
        default=[],
        metavar="FILE",
        help="a list of trusted keys in OpenSSH's allowed_signers format",
    )
    group.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="FILE",
        help="a trusted public key (.pub)",
    )
    group.add_argument(
        "--fingerprint",
        action="append",
        default=[],
        metavar="SHA256:...",
        help="the fingerprint of a trusted key, as ssh-keygen -l prints it",
    )


def named_keys(args: Namespace) -> NamedKeys:
    """Return the keys that the command line names."""
    return NamedKeys(
        tuple(map(KeyFile.read, args.allowed_signers)),
        tuple(map(KeyFile.read, args.key)),
        tuple(args.fingerprint),
    )


def add_places(parser: ArgumentParser) -> None:
    """Declare the arguments that say where the bundle lies."""
    parser.add_argument(
        "bundle",
        nargs="*",
        help="the bundle's directory or .tar; several when its packs are spread, and "
        "patches for it",
    )
    add_media(parser)


def add_media(parser: ArgumentParser) -> None:
    """Declare the other way to say where the bundle lies."""
    parser.add_argument(
        "--media",
        action="append",
        default=[],
        metavar="PLACE",
        help="another place where the bundle, part of it or a patch lies (repeatable)",
    )


def places_of(args: Namespace) -> List[str]:
    """Return where the bundle lies, or raise UsageError if that was not said."""
    places = [*args.bundle, *args.media]
    if not places:
        raise UsageError(
            "it was not said where the bundle lies",
            hint="Name its directory, its .tar, or each medium that holds part of it.",
        )
    return places


def add_installed_name(parser: ArgumentParser) -> None:
    """Declare the argument that names an installed bundle."""
    parser.add_argument(
        "name", nargs="?", help="the bundle's name; not needed when only one is there"
    )


def add_accept(parser: ArgumentParser) -> None:
    """Declare the option that takes a fault of the host on."""
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="SLUG",
        help="go on with this fail of the preflight; it is recorded (repeatable)",
    )
