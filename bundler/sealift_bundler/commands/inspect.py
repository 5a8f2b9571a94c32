"""`sealift inspect`: show what a bundle holds, without reading its packs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import typer
from sealift_manifests import records
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.media import Media
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.diff import surveys_of
from sealift_manifests.preflight.newest import (
    TABLES_NAME,
    ChosenTables,
    Offer,
    built_in,
    newest_tables,
)
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.sizes import counted, human
from sealift_manifests.stack_entries import StackEntry
from sealift_manifests.trust import Trust

from sealift_bundler.commands.options import on_bundle, print_json
from sealift_bundler.needs_text import needs_lines
from sealift_bundler.opening import signers_of
from sealift_bundler.parity_text import parity_lines
from sealift_bundler.rehearsal.values import EVIDENCE_NAME, Evidence, parse_evidence
from sealift_bundler.site_text import site_lines


@on_bundle
def run(places: list[str], trust: Trust, *, as_json: bool) -> None:
    """Show what is inside a bundle, without reading its packs.

    Without a trusted key it says so, and shows which key signed.
    """
    trusted = not trust.is_empty
    with Media(places) as media:
        opened = open_bundle(
            media, trust if trusted else signers_of(media), datetime.now(UTC)
        )
        tables = _tables(opened) if trusted else built_in()
        evidence = _evidence(opened)
    if as_json:
        print_json(
            manifest=records.encode(opened.manifest),
            root=opened.root,
            signed_by=[one.key.fingerprint for one in opened.accepted],
            signer_trusted=trusted,
            needs=records.encode(needs_of(opened.manifest)),
            tables=tables.facts(),
            packs=[pack._asdict() for pack in opened.index.packs],
            parity=[
                {"name": name, "size": size}
                for name, size in opened.index.large_files[len(opened.index.packs) :]
            ],
            rehearsal=records.encode(evidence),
            builds_on=[base._asdict() for base in opened.index.bases],
        )
    else:
        lines = [*describe(opened, trusted=trusted), *_rehearsal_lines(evidence)]
        typer.echo("\n".join([*lines, *_host_lines(opened.manifest, tables)]))


def describe(bundle: Bundle, *, trusted: bool) -> list[str]:
    """Return the contents of a bundle as a table for people."""
    manifest, index = bundle.manifest, bundle.index
    signers = ", ".join(one.key.fingerprint for one in bundle.accepted)
    verdict = "trusted" if trusted else "NOT CHECKED against any key you trust: --key"
    stored = sum(pack.size for pack in index.packs)
    plain = sum(content.size for content in index.contents.values())
    return [
        f"{manifest.name} {manifest.version}",
        f"  serial     {manifest.serial}",
        f"  created    {manifest.created} by {manifest.builder}",
        f"  platform   {manifest.platform}",
        f"  signed by  {signers} ({verdict})",
        f"  root       {bundle.root}",
        f"  size       {human(stored)} in {counted(len(index.packs), 'pack')}, "
        f"{human(plain)} installed",
        *parity_lines(index),
        *(f"  builds on  {base}" for base in index.bases),
        *_contents(manifest),
    ]


def _contents(manifest: Manifest) -> Iterator[str]:
    """Yield the models, images and services as lines."""
    for model in manifest.models:
        source = model.source
        where = f"{source.repo}@{source.commit}" if source.repo else "local directory"
        yield (
            f"  model      {model.name}: {counted(len(model.files), 'file')}, "
            f"{human(model.size)}, {model.layout}, {where}"
        )
        yield from (f"             accepted: {path}" for path in model.accepted)
    for image in manifest.images:
        yield (
            f"  image      {image.name}: {image.reference}, "
            f"{counted(len(image.layers), 'layer')}, {human(image.size)}, "
            f"from {image.source.reference}"
        )
    yield from _volume_lines(manifest)
    if manifest.stack:
        yield from _stack_lines(manifest.stack)


def _evidence(bundle: Bundle) -> Evidence | None:
    """Return what the rehearsal before signing has shown, if there was one."""
    if EVIDENCE_NAME not in bundle.sums:
        return None
    return parse_evidence(bundle.document(EVIDENCE_NAME))


def _rehearsal_lines(evidence: Evidence | None) -> list[str]:
    if evidence is None:
        return []
    seen = [f"             {each}" for each in evidence.attempts]
    return [f"  rehearsed  {evidence}", *seen]


def _volume_lines(manifest: Manifest) -> Iterator[str]:
    for volume in manifest.volumes:
        origin = volume.source.volume or "a directory"
        yield (
            f"  volume     {volume.name}: {counted(len(volume.files), 'file')}, "
            f"{human(volume.size)}, {volume.digest.short}, from {origin}"
        )


def _stack_lines(stack: StackEntry) -> Iterator[str]:
    for service in stack.services:
        models = ", ".join(service.models) or "no models"
        yield f"  service    {service.name}: image {service.image}, {models}"
    for test in stack.smoke:
        yield f"  smoke      {test.name}: {test.request}, within {test.within} s"
    yield from (f"  site       {line}" for line in site_lines(stack))


def _tables(bundle: Bundle) -> ChosenTables:
    """Return the newest of our NVIDIA tables and the bundle's, if it carries any."""
    carried = TABLES_NAME in bundle.sums
    offers = [Offer("the bundle", bundle.document(TABLES_NAME))] if carried else []
    return newest_tables(offers)


def _host_lines(manifest: Manifest, tables: ChosenTables) -> list[str]:
    """Return what a host must have, and which hosts were judged."""
    lines = ["  a host must have:"]
    needs = needs_lines(needs_of(manifest), tables.tables)
    lines += [f"    {line}" for line in needs]
    lines.append(f"    (by NVIDIA tables of {tables.label})")
    lines += [f"    {each.about}: {each.measured}" for each in tables.unread]
    surveys = ", ".join(digest.short for digest in surveys_of(manifest))
    if surveys:
        lines.append(f"  judged for the hosts of surveys {surveys}")
    return lines
