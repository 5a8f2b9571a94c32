"""`sealift rehearse`: run a bundle where there is no way out, and see who tries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media

from sealift_bundler.commands.options import (
    Accept,
    AllowedSigners,
    AsJson,
    Fingerprints,
    Given,
    Keys,
    MorePlaces,
    Places,
    Strict,
    Wait,
    Watch,
    places_of,
    print_json,
    read_trust,
)
from sealift_bundler.rehearsal.run import RehearsalRequest, rehearse
from sealift_bundler.rehearsal.values import RehearsalOptions, Rehearsed
from sealift_bundler.report import Report


def run(  # long: one parameter for each option
    bundle: Places = None,
    media: MorePlaces = None,
    allowed_signers: AllowedSigners = None,
    key: Keys = None,
    fingerprint: Fingerprints = None,
    strict: Strict = False,
    watch: Watch = RehearsalOptions.watch,
    wait: Wait = RehearsalOptions.wait,
    accept: Accept = None,
    given: Given = None,
    as_json: AsJson = False,
) -> None:
    """Install BUNDLE in a scratch place, start it with no way out, and look on."""
    trust = read_trust(allowed_signers or [], key or [], fingerprint or [])
    options = RehearsalOptions(
        watch, wait, tuple(accept or ()), strict, tuple(given or ())
    )
    words = [
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
        request = RehearsalRequest(places, words, Path(scratch), options)
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
    options.require(done)


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
