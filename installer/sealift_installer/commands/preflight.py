"""`preflight`: say whether this host will do for a bundle, before the bundle is
installed. Without a bundle: whether the host is sound. Changes nothing."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Optional, Tuple

from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.facts import HostFacts
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.preflight.words import acceptance_of, count, describe

from sealift_installer.commands import (
    Result,
    add_accept,
    add_media,
    add_trust_options,
    named_keys,
)
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_verify
from sealift_installer.preflight import judge, surveys_in, without_room
from sealift_installer.releases import choose, installed_bundles

HELP = "say whether this host will do for a bundle, and what to mend"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "bundle",
        nargs="*",
        help="the bundle's directory or .tar, or the name of an installed one; "
        "without, the host alone is looked at",
    )
    add_media(parser)
    add_trust_options(parser)
    add_accept(parser)


def run(args: Namespace, host: Host) -> Result:
    """Judge the host."""
    acceptance = acceptance_of(args.accept)
    manifest, surveys, is_installed = _subject(args, host)
    what = f"{manifest.name} {manifest.version}" if manifest else "serving"
    needs = needs_of(manifest) if manifest else None
    if needs and is_installed:
        needs = without_room(needs)
    verdict = judge(host, needs, acceptance, surveys)
    verdict.require(what)
    told = f"this host will do for {what}" if manifest else "nothing fails on this host"
    lines = [f"{told}: {count(verdict.findings)}", f"  it has: {verdict.host}"]
    lines += describe(verdict.findings, acceptance)
    lines += verdict.changes
    facts = {"bundle": manifest.name, "version": manifest.version} if manifest else {}
    return "\n".join(lines), {**facts, **verdict.facts()}


def _subject(
    args: Namespace, host: Host
) -> Tuple[Optional[Manifest], Tuple[HostFacts, ...], bool]:
    """Return the manifest named, its surveys, and whether it is installed."""
    places = [*args.bundle, *args.media]
    if not places:
        return None, (), False
    first = places[0]
    is_name = len(places) == 1 and not os.path.exists(first)
    if is_name and first in installed_bundles(host.layout):
        release = choose(host.layout, first)
        return release.manifest, surveys_in(release.manifest, release.document), True
    with Media(places) as media:
        trust = trust_to_verify(host.layout, named_keys(args))
        bundle = open_bundle(media, trust, host.now())
        return bundle.manifest, surveys_in(bundle.manifest, bundle.document), False
