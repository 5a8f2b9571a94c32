"""`verify`: check the signature and every byte of a bundle; change nothing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media
from sealift_manifests.verify import beside, bytes_to_measure, summary, verify_payload

from sealift_installer.commands import (
    Result,
    add_places,
    add_trust_options,
    named_keys,
    places_of,
)
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_verify


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_places(parser)
    parser.add_argument(
        "--ignore-missing",
        action="store_true",
        help="files that are not here are elsewhere: judge what is here",
    )
    add_trust_options(parser)


def run(args: Namespace, host: Host) -> Result:
    """Verify the bundle; say what each medium holds and who signed it."""
    trust = trust_to_verify(host.layout, named_keys(args))
    with Media(places_of(args)) as media:
        bundle = open_bundle(media, trust, host.now())
        total = bytes_to_measure(bundle)
        with host.report.progress("verifying", total) as progress:
            found = verify_payload(bundle, progress, ignore_missing=args.ignore_missing)
        text, facts = summary(bundle, found)
        strangers = beside(bundle)
    for line in (*strangers, *found.warnings()):
        host.report.step(line)
    return text, facts
