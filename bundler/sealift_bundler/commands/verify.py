"""`sealift verify`: check signature and every byte, on one medium or several."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media
from sealift_manifests.sizes import human
from sealift_manifests.trust import Trust
from sealift_manifests.verify import verify_payload

from sealift_bundler.commands.options import on_bundle, print_json
from sealift_bundler.report import Report, counted


@on_bundle
def run(places: list[str], trust: Trust, *, as_json: bool) -> None:
    """Check the signature and every byte of a bundle.

    It may be a directory, a tar, or packs spread over several directories.
    """
    with Media(places) as media:
        opened = open_bundle(media, trust, datetime.now(UTC))
        total = opened.index.large_size
        with Report(quiet=as_json).progress("verifying", total) as progress:
            mended = verify_payload(opened, progress)
        unlisted, litter = opened.unlisted, opened.litter
    signers = [one.key.fingerprint for one in opened.accepted]
    manifest = opened.manifest
    if as_json:
        print_json(
            bundle=manifest.name,
            version=manifest.version,
            serial=manifest.serial,
            root=opened.root,
            signed_by=signers,
            size=total,
            unlisted=list(unlisted),
            litter=list(litter),
            mended=[damage.name for damage in mended],
            builds_on=[base._asdict() for base in opened.index.bases],
        )
        return
    typer.echo(
        f"good: {manifest.name} {manifest.version}, {human(total)} in "
        f"{counted(len(opened.index.packs), 'pack')}, signed by {', '.join(signers)}"
    )
    typer.echo(f"root {opened.root}")
    for damage in mended:
        typer.echo(f"warning: {damage}")
    for base in opened.index.bases:
        typer.echo(f"builds on {base}")
    if unlisted:
        typer.echo(f"not part of the bundle, nobody signed: {', '.join(unlisted)}")
    if litter:
        typer.echo(f"left by other systems, ignored: {', '.join(litter)}")
