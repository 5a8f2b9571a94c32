"""`sealift verify`: check signature and every byte, on one medium or several."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media
from sealift_manifests.verify import beside, bytes_to_measure, summary, verify_payload

from sealift_bundler.commands.options import (
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
from sealift_bundler.report import Report


def run(
    bundle: Places = None,
    media: MorePlaces = None,
    ignore_missing: Annotated[
        bool,
        typer.Option(
            "--ignore-missing",
            help="Files that are not here are elsewhere: judge what is here.",
        ),
    ] = False,
    allowed_signers: AllowedSigners = None,
    key: Keys = None,
    fingerprint: Fingerprints = None,
    as_json: AsJson = False,
) -> None:
    """Check the signature and every byte of a bundle, on each of its media.

    It may be a directory, a tar, or packs spread over several directories.
    """
    trust = read_trust(allowed_signers or [], key or [], fingerprint or [])
    with Media(places_of(bundle, media)) as opened_media:
        opened = open_bundle(opened_media, trust, datetime.now(UTC))
        total = bytes_to_measure(opened)
        with Report(quiet=as_json).progress("verifying", total) as progress:
            found = verify_payload(opened, progress, ignore_missing=ignore_missing)
        text, facts = summary(opened, found)
        strangers = beside(opened)
    if as_json:
        print_json(**facts)
        return
    typer.echo(text)
    for remark in strangers:
        typer.echo(remark)
    for warning in found.warnings():
        typer.echo(warning, err=True)
