"""Options and their meaning that several commands share."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from sealift_manifests.errors import SigningError, TrustStoreError, UsageError
from sealift_manifests.trust import Policy, Trust

from sealift_bundler.part_size import require_part_size
from sealift_bundler.report import Style

Places = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BUNDLE...",
        help="The bundle's directory or .tar; several when it is spread.",
    ),
]
MorePlaces = Annotated[
    list[str] | None,
    typer.Option(
        "--media",
        metavar="PLACE",
        help="Another place where it, part of it or a patch lies. May be repeated.",
    ),
]
AllowedSigners = Annotated[
    list[Path] | None,
    typer.Option(
        "--allowed-signers", metavar="FILE", help="Trusted keys, in OpenSSH's format."
    ),
]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", metavar="FILE", help="A trusted public key (.pub)."),
]
Fingerprints = Annotated[
    list[str] | None,
    typer.Option(
        "--fingerprint",
        metavar="SHA256:...",
        help="Fingerprint of a trusted key, as ssh-keygen -l prints it.",
    ),
]
SignKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--sign-key", metavar="FILE", help="OpenSSH private key; may be repeated."
    ),
]
SignAgent = Annotated[
    list[str] | None,
    typer.Option(
        "--sign-agent",
        metavar="KEY",
        help="Key in ssh-agent: its .pub file or fingerprint; may be repeated.",
    ),
]
Surveys = Annotated[
    list[Path] | None,
    typer.Option(
        "--survey",
        metavar="FILE",
        help="What `survey` wrote on a host: judge that host. May be repeated.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Of a rehearsal: fail when somebody tries to get out."
    ),
]
Watch = Annotated[
    int,
    typer.Option(
        metavar="SECONDS", help="Of a rehearsal: how long to look on once all is up."
    ),
]
Wait = Annotated[
    int,
    typer.Option(
        metavar="SECONDS", help="Of a rehearsal: how long to wait for health."
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Of a rehearsal: a setting of the site it plays. May be repeated.",
    ),
]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="SLUG",
        help="Take on a fail by its slug; it is recorded. May be repeated.",
    ),
]
TablesFile = Annotated[
    Path | None,
    typer.Option(
        "--tables",
        metavar="FILE",
        help="NVIDIA tables to judge by and to carry, if newer than those built in.",
    ),
]
InsecureRegistries = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Registry to speak plain HTTP with; may be repeated.",
    ),
]
ParityRatio = Annotated[
    str | None,
    typer.Option(
        "--parity",
        metavar="M/N",
        help="Make M parity files for each group of up to N packs, such as 1/20: any "
        "M of a group may be lost.",
    ),
]
MediaSizes = Annotated[
    str | None,
    typer.Option(
        "--media",
        metavar="SIZES",
        help="Sizes of media as they are sold, such as 64GB,64GB,32GB or 3x64GB: say "
        "what goes where.",
    ),
]
ProgressStyle = Annotated[
    Style,
    typer.Option(
        "--progress",
        help="A bar on a terminal (auto), lines of text, or lines of JSON; on standard "
        "error.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)?(-1)?\Z")
_TIMES = re.compile(r"(?:(\d{1,2})\s*x\s*)?(.+)\Z")
_UNITS = {
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}


class OnBundle(Protocol):
    """What a command does with a bundle: where it lies, and whom the user trusts."""

    def __call__(self, places: list[str], trust: Trust, *, as_json: bool) -> None:
        """Carry the command out."""
        ...


def on_bundle(command: OnBundle) -> Callable[..., None]:
    """Return a command with the options of all that look into a bundle."""

    def run(
        bundle: Places = None,
        media: MorePlaces = None,
        allowed_signers: AllowedSigners = None,
        key: Keys = None,
        fingerprint: Fingerprints = None,
        as_json: AsJson = False,
    ) -> None:
        trust = read_trust(allowed_signers or [], key or [], fingerprint or [])
        command(places_of(bundle, media), trust, as_json=as_json)

    run.__doc__ = command.__doc__
    return run


def places_of(bundle: list[str] | None, media: list[str] | None) -> list[str]:
    """Return where the bundle lies, or raise UsageError if that was not said."""
    places = [*(bundle or ()), *(media or ())]
    if not places:
        raise UsageError(
            "it was not said where the bundle lies",
            hint="Name its directory, its .tar, or each medium that holds part of it.",
        )
    return places


def parse_size(text: str) -> int:
    """Return bytes from text such as `4GiB-1`, `4.7GB` or `1048576`."""
    match = _SIZE.match(text.strip())
    if not match:
        raise UsageError(
            f"{text!r} is not a size",
            hint="Write a number with B, KiB, MiB, GiB, MB or GB, such as 4GiB-1.",
        )
    number, unit, less = match.groups()
    return int(Fraction(number) * _UNITS[unit or "B"]) - (1 if less else 0)


def parse_part_size(text: str) -> int:
    """Return the bytes that a pack may have; UsageError if no chunk fits."""
    size = parse_size(text)
    require_part_size(size)
    return size


def parse_media(text: str) -> tuple[int, ...]:
    """Return the bytes of each medium from text such as `64GB,2x32GB,4.7GB`."""
    sizes: list[int] = []
    for part in text.split(","):
        match = _TIMES.match(part.strip())
        times, size = match.groups() if match else (None, "")
        sizes += [parse_size(size)] * int(times or 1)
    if not sizes or min(sizes) <= 0:
        raise UsageError(
            f"--media {text!r} names no medium, or one of no size",
            hint="Write sizes as they are sold, such as 64GB,64GB,32GB or 3x64GB.",
        )
    return tuple(sizes)


def default_cache() -> Path:
    """Return where downloads are kept between builds."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "sealift"


def creation_time() -> datetime:
    """Return the time to state in the bundle: SOURCE_DATE_EPOCH, or now."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {epoch!r}",
            hint="Set it to a number of seconds since 1970, or unset it.",
        ) from error


def read_trust(
    allowed_signers: list[Path], keys: list[Path], fingerprints: list[str]
) -> Trust:
    """Return trust in the keys that the options name."""
    parts = [Trust.from_fingerprints(fingerprints)]
    parts += [
        Trust.from_allowed_signers(_text(path), str(path)) for path in allowed_signers
    ]
    parts += [Trust.from_key_file(_text(path), str(path)) for path in keys]
    return Trust.combined(parts, Policy())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise TrustStoreError(
            f"{path} cannot be read: {error.strerror}",
            hint="Name a file with public keys that came by another way than the "
            "bundle.",
        ) from error


def ask_passphrase(text: str, *, twice: bool = False) -> bytes:
    """Ask for a passphrase; without a terminal say how to do without one."""
    try:
        answer: str = typer.prompt(text, hide_input=True, confirmation_prompt=twice)
    except typer.Abort as error:
        # Ctrl-C and the end of the input come as one.
        raise SigningError(
            "no passphrase was given",
            hint="Type it on a terminal. Without one, sign with --sign-agent; "
            "`sealift keygen --no-passphrase` makes a key that needs none.",
        ) from error
    return answer.encode()


def print_json(**facts: Any) -> None:
    """Print the result of a command for machines; cli prints what failed."""
    typer.echo(json.dumps({"ok": True, **facts}, indent=1, sort_keys=True))
