"""`verify`: check the signature and every byte of a bundle; change nothing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media
from sealift_manifests.sizes import human
from sealift_manifests.verify import verify_payload

from sealift_installer.commands import Result, add_places, add_trust_options, named_keys
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_verify

HELP = "check the signature and every byte of a bundle"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_places(parser)
    add_trust_options(parser)


def run(args: Namespace, host: Host) -> Result:
    """Verify the bundle and say who signed it."""
    trust = trust_to_verify(host.layout, named_keys(args))
    with Media(args.bundle) as media:
        bundle = open_bundle(media, trust, host.now())
        total = bundle.index.large_size
        with host.report.progress("verifying", total) as progress:
            mended = verify_payload(bundle, progress)
        unlisted, litter = bundle.unlisted, bundle.litter
    if unlisted:
        host.report.step(
            f"not part of the bundle, nobody signed: {', '.join(unlisted)}"
        )
    if litter:
        host.report.step(f"left by other systems, ignored: {', '.join(litter)}")
    manifest = bundle.manifest
    signers = [one.key.fingerprint for one in bundle.accepted]
    text = (
        f"good: {manifest.name} {manifest.version}, {human(total)} in "
        f"{len(bundle.index.packs)} packs, signed by {', '.join(signers)}\n"
        f"root {bundle.root}" + "".join(f"\nwarning: {damage}" for damage in mended)
    )
    text += "".join(f"\nbuilds on {base}" for base in bundle.index.bases)
    return text, {
        "bundle": manifest.name,
        "version": manifest.version,
        "serial": manifest.serial,
        "root": bundle.root,
        "signed_by": signers,
        "size": total,
        "unlisted": list(unlisted),
        "litter": list(litter),
        "mended": [damage.name for damage in mended],
        "builds_on": [base._asdict() for base in bundle.index.bases],
    }
