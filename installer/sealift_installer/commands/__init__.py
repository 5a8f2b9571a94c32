"""The commands of the installer, one module each: options in, a report out."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any, Dict, List, Tuple

from sealift_manifests.bundle import INSTALLER_NAME
from sealift_manifests.errors import UsageError

from sealift_installer.engine import DEFAULT_SOCKETS
from sealift_installer.health import DEFAULT_WAIT
from sealift_installer.host import Host
from sealift_installer.host_trust import KeyFile, NamedKeys
from sealift_installer.layout import DEFAULT_CONFIG, DEFAULT_STATE

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


def add_set(parser: ArgumentParser) -> None:
    """Declare the option that gives a setting of this site its value."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="write this setting into the site file (repeatable)",
    )


def add_start_options(parser: ArgumentParser) -> None:
    """Declare how a stack is started."""
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
    parser.add_argument(
        "--no-fallback",
        action="store_true",
        help="leave a new release that does not come up as it is, instead of starting "
        "the one that served before",
    )
    parser.add_argument(
        "--no-smoke",
        action="store_true",
        help="ask the services nothing once they are healthy",
    )


def add_output(parser: ArgumentParser) -> None:
    """Declare where a document that leaves the host is written."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write it; without, it is printed",
    )


def at_least_0(text: str) -> int:
    """Read a number of things for argparse."""
    if not text.isdigit():
        raise ArgumentTypeError("give a number from 0 on")
    return int(text)


def require_yes(question: str, refusal: str) -> None:
    """Ask a person; raise UsageError unless one is there and agrees."""
    if sys.stdin.isatty():
        print(f"{question} [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise UsageError(f"{refusal}: nobody agreed", hint="Run it again with --yes.")


def start_command(host: Host, name: str) -> str:
    """Return what to type next: the host's own copy, with the places named here."""
    copy = own_copy(host, name)
    words = ["python3", "-I", "-B", copy, "start", name, *host_options(host)]
    return " ".join(shlex.quote(word) for word in words)


def own_copy(host: Host, name: str) -> str:
    """Return this host's own copy of the installer: that of the release in use."""
    return os.path.join(host.layout.current(name), INSTALLER_NAME)


def host_options(host: Host) -> List[str]:
    """Return the options by which a command works where this one does.

    The engine is named wherever another could be found without, such as by DOCKER_HOST.
    """
    layout, words = host.layout, []
    if layout.state != DEFAULT_STATE:
        words += ["--state-dir", layout.state]
    if layout.config != DEFAULT_CONFIG:
        words += ["--config-dir", layout.config]
    if host.engine.socket_path != DEFAULT_SOCKETS[0]:
        words += ["--engine", host.engine.socket_path]
    return words
