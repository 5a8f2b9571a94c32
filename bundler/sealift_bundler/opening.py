"""Open a bundle to look inside, trusting whoever signed it: never to install it."""

from __future__ import annotations

from datetime import UTC, datetime

from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.errors import UntrustedKeyError
from sealift_manifests.media import Media
from sealift_manifests.roots import read_signatures
from sealift_manifests.sshsig import verify_sshsig
from sealift_manifests.sums import MAX_SUMS, SUMS_NAME
from sealift_manifests.trust import NAMESPACE, Trust


def open_to_look(media: Media) -> Bundle:
    """Return the bundle if it is as its signers signed it, whoever they are."""
    return open_bundle(media, signers_of(media), datetime.now(UTC))


def signers_of(media: Media) -> Trust:
    """Return trust in whoever signed."""
    root = media.open(SUMS_NAME).read_all(MAX_SUMS)
    keys = [
        verify_sshsig(armored, root, NAMESPACE).fingerprint
        for name, armored in read_signatures(media, media.places).items()
        if not name.endswith(".p384.sig")
    ]
    if not keys:
        raise UntrustedKeyError(
            f"{', '.join(media.places)} is not signed",
            hint="Every Sealift bundle is. Copy it again with its .sig files.",
        )
    return Trust.from_fingerprints(keys)
