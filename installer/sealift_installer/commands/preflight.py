"""`preflight`: say whether this host will do for a bundle, before the bundle is
installed. Without a bundle: whether the host is sound. Changes nothing."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Optional, Tuple

from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.findings import Acceptance
from sealift_manifests.preflight.needs import Needs
from sealift_manifests.preflight.words import acceptance_of, count

from sealift_installer.commands import (
    Result,
    add_accept,
    add_media,
    add_trust_options,
    named_keys,
)
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_verify
from sealift_installer.nvidia_tables import tables_for
from sealift_installer.preflight import Grounds, judge, surveys_in, without_room
from sealift_installer.releases import choose, installed_bundles
from sealift_installer.site import site_needs, site_of


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
    manifest, needs, grounds = _subject(args, host, acceptance)
    what = f"{manifest.name} {manifest.version}" if manifest else "serving"
    verdict = judge(host, needs, grounds)
    site = site_of(host.layout, manifest) if manifest else None
    verdict.require(
        what, [f"  setting {line}" for line in site.lines()] if site else ()
    )
    if site:
        site.require()
    told = f"this host will do for {what}" if manifest else "nothing fails on this host"
    lines = [f"{told}: {count(verdict.findings)}", *verdict.lines()]
    facts = {"bundle": manifest.name, "version": manifest.version} if manifest else {}
    return "\n".join(lines), {**facts, **verdict.facts()}


def _subject(
    args: Namespace, host: Host, acceptance: Acceptance
) -> Tuple[Optional[Manifest], Optional[Needs], Grounds]:
    """Return the manifest named, what it asks of the host, and what to judge by."""
    places = [*args.bundle, *args.media]
    if not places:
        return None, None, Grounds(tables_for(host), acceptance)
    first = places[0]
    is_name = len(places) == 1 and not os.path.exists(first)
    if is_name and first in installed_bundles(host.layout):
        release = choose(host.layout, first)
        manifest = release.manifest
        surveys = surveys_in(manifest, release.document)
        needs = without_room(site_needs(host.layout, manifest))
        return manifest, needs, Grounds(tables_for(host), acceptance, surveys)
    with Media(places) as media:
        trust = trust_to_verify(host.layout, named_keys(args))
        bundle = open_bundle(media, trust, host.now())
        manifest = bundle.manifest
        surveys = surveys_in(manifest, bundle.document)
        grounds = Grounds(tables_for(host, bundle), acceptance, surveys)
        return manifest, site_needs(host.layout, manifest), grounds
