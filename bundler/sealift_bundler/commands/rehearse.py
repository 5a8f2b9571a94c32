"""`sealift rehearse`: run a bundle where there is no way out, and see who tries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sealift_manifests.bundle import open_bundle
from sealift_manifests.errors import ReachesOutsideError
from sealift_manifests.media import Media
from sealift_manifests.sizes import counted

from sealift_bundler.commands.options import (
    Accept,
    AllowedSigners,
    AsJson,
    Fingerprints,
    Keys,
    MorePlaces,
    Places,
    places_of,
    print_json,
    read_trust,
)
from sealift_bundler.rehearsal.run import RehearsalRequest, Rehearsed, rehearse
from sealift_bundler.report import Report


def run(  # long: one parameter for each option
    bundle: Places = None,
    media: MorePlaces = None,
    allowed_signers: AllowedSigners = None,
    key: Keys = None,
    fingerprint: Fingerprints = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail when somebody tries to get out.")
    ] = False,
    watch: Annotated[
        int,
        typer.Option(metavar="SECONDS", help="How long to look on once all is up."),
    ] = 30,
    wait: Annotated[
        int, typer.Option(metavar="SECONDS", help="How long to wait for health.")
    ] = 1800,
    accept: Accept = None,
    as_json: AsJson = False,
) -> None:
    """Install BUNDLE in a scratch place, start it with no way out, and look on."""
    trust = read_trust(allowed_signers or [], key or [], fingerprint or [])
    options = [
        *_options("--allowed-signers", allowed_signers or ()),
        *_options("--key", key or ()),
        *_options("--fingerprint", fingerprint or ()),
    ]
    places = places_of(bundle, media)
    with (
        Media(places) as opened_media,
        tempfile.TemporaryDirectory(prefix="sealift-rehearsal-") as scratch,
    ):
        opened = open_bundle(opened_media, trust, datetime.now(UTC))
        request = RehearsalRequest(
            places, options, Path(scratch), watch, wait, tuple(accept or ())
        )
        done = rehearse(request, opened, Report(quiet=as_json))
    if as_json:
        print_json(
            services=dict(done.services),
            smoke=[dict(each) for each in done.smoke],
            attempts=[vars(each) for each in done.attempts],
            seconds=round(done.seconds, 1),
        )
    else:
        typer.echo(describe(done))
    if strict and done.attempts:
        raise ReachesOutsideError(
            f"{counted(len(done.attempts), 'attempt')} to reach outside",
            hint="Set the server's switches for running offline, or carry what it "
            "wanted; without --strict this is told only.",
        )


def describe(done: Rehearsed) -> str:
    """Return what came of it, for people."""
    lines = [f"  {name}: {state}" for name, state in sorted(done.services.items())]
    lines += [f"  {_answered(each)}" for each in done.smoke]
    if done.attempts:
        lines.append("  tried to reach outside:")
        lines += [f"    {each}" for each in done.attempts]
    else:
        lines.append("  nobody tried to reach outside")
    return "\n".join([f"rehearsed for {done.seconds:.0f} s, and taken down", *lines])


def _answered(smoke: Mapping[str, Any]) -> str:
    return (
        f"smoke {smoke['name']}: good, first byte after {smoke['first_byte_s']:.2f} s, "
        f"all of it after {smoke['seconds']:.2f} s"
    )


def _options(name: str, values: Iterable[object]) -> list[str]:
    return [word for value in values for word in (name, str(value))]
