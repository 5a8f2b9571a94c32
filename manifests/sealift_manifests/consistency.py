"""Do the signed documents of a bundle speak of the same files?"""

from __future__ import annotations

from typing import Dict, Mapping

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import ManifestError
from sealift_manifests.index import Index
from sealift_manifests.model import Manifest
from sealift_manifests.trees import format_listing

_RECOPY = (
    "Copy it again from where the bundle was built. If that does not help, ask for "
    "a new bundle. Do not install this one."
)


def check_consistent(
    manifest: Manifest, index: Index, sums: Mapping[str, Digest]
) -> None:
    """Check that manifest, index and SHA256SUMS speak of the same files."""
    needed: Dict[Digest, int] = {}
    for digest, size, what in manifest.contents():
        content = index.contents.get(digest)
        if content is None or content.size != size:
            raise ManifestError(f"the index does not hold {what}", hint=_RECOPY)
        needed[digest] = size
    if set(index.contents) != set(needed):
        raise ManifestError("the index holds files nobody asked for", hint=_RECOPY)
    used = {n for content in index.contents.values() for n in content.chunks}
    if len(used) != len(index.chunks):
        raise ManifestError("the index holds chunks nobody asked for", hint=_RECOPY)
    names = {pack.name for pack in index.packs}
    listed = {name for name in sums if name.endswith(".pack")}
    if names != listed or len(names) != len(index.packs):
        raise ManifestError("index and SHA256SUMS name different packs", hint=_RECOPY)
    if not all(name in sums for name, _ in index.large_files):
        raise ManifestError("SHA256SUMS lacks a parity file", hint=_RECOPY)
    for model in manifest.models:
        listing = format_listing(model.layout, model.source, model.files)
        if not sums.get(model.listing_name) == model.tree == digest_of(listing):
            raise ManifestError(
                f"{model.listing_name} is not the list of model {model.name}",
                hint=_RECOPY,
            )
    for volume in manifest.volumes:
        if sums.get(volume.listing_name) != digest_of(volume.listing):
            raise ManifestError(
                f"{volume.listing_name} is not the list of volume {volume.name}",
                hint=_RECOPY,
            )
