"""A signed patch: chunks and small files of a bundle whose media have lost them.

Its signature is checked before its list is parsed, by the keys that settle the bundle.
What it gives is hashed against the bundle's own digests: a patch can mend a bundle,
never change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Mapping, NamedTuple, Tuple

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import (
    DigestMismatchError,
    ManifestError,
    PayloadError,
    SealiftError,
)
from sealift_manifests.index import Index
from sealift_manifests.media import PATCH_NAME, Media, MediaFile
from sealift_manifests.repair import MAX_REPAIR_DOCUMENT, PatchList, parse_patch_list
from sealift_manifests.roots import find_root
from sealift_manifests.sums import SUMS_NAME, parse_sums
from sealift_manifests.trust import Trust

_HINT = "Copy the patch to the medium again, or leave it out."


class PatchPlace(NamedTuple):
    """Where a chunk lies in a patch: `offset` and `size` are in bytes."""

    file: MediaFile
    offset: int
    size: int


@dataclass(frozen=True)
class Patch:
    """A patch with a good signature: a Spare, for the bundle that it names.

    `root` is the digest of its own SHA256SUMS, `sums` what that lists; `places` has the
    chunks whose pack is there.
    """

    media: Media
    root: Digest
    listed: PatchList
    sums: Mapping[str, Digest]
    signatures: Mapping[str, bytes]
    places: Mapping[int, PatchPlace]

    @property
    def place(self) -> str:
        """The medium it lies on, as named by the user."""
        return self.media.places[0]

    def holds(self, number: int) -> bool:
        """Say whether this chunk is in the patch."""
        return number in self.places

    def read_stored(self, number: int, target: memoryview) -> bool:
        """Fill `target` with the stored bytes of a chunk; say whether it could."""
        place = self.places.get(number)
        if place is None or place.size != len(target):
            return False
        try:
            place.file.read_into(target, place.offset)
        except PayloadError:
            return False
        return True

    def require_fits(self, index: Index) -> None:
        """Raise ManifestError unless its chunks are chunks of the bundle."""
        for chunk in self.listed.chunks:
            known = chunk.chunk < len(index.chunks)
            if not known or index.chunks[chunk.chunk].stored_size != chunk.size:
                raise ManifestError(
                    f"the patch {self.place} has a chunk {chunk.chunk} of {chunk.size} "
                    "bytes, which the bundle has not",
                    hint="It was made wrongly. Ask for a new one.",
                )


def open_patch(media: Media, root: Digest, trust: Trust, now: datetime) -> Patch:
    """Verify a patch for the bundle with this root; raise one of the trust errors."""
    (place,) = media.places
    try:
        found = find_root(media, trust, now)
        sums = parse_sums(found.data)
        listed = _read_list(media, sums)
    except SealiftError as error:
        # Which of the places was refused, and as what: the bundle itself may be good.
        message = error.message.replace("the bundle", "the patch")
        raise type(error)(
            f"the patch {place}: {message}",
            hint=f"{error.hint} Without the patch, leave {place} out.",
        ) from error
    if listed.root != root:
        raise PayloadError(
            f"{place} is a patch for {listed.name} {listed.version} with the root "
            f"{listed.root.short}; this bundle has the root {root.short}",
            hint="Leave the patch out, or name the media of the bundle that it is for.",
        )
    return Patch(
        media=media,
        root=digest_of(found.data),
        listed=listed,
        sums=sums,
        signatures=found.signatures,
        places=_places(media, listed),
    )


def _read_list(media: Media, sums: Mapping[str, Digest]) -> PatchList:
    if PATCH_NAME not in sums:
        raise ManifestError(f"{SUMS_NAME} does not list {PATCH_NAME}", hint=_HINT)
    file = media.open(PATCH_NAME)
    data = file.read_all(MAX_REPAIR_DOCUMENT)
    if digest_of(data) != sums[PATCH_NAME]:
        raise DigestMismatchError(f"{file.label} is not what was signed", hint=_HINT)
    listed = parse_patch_list(data, file.label)
    names = (PATCH_NAME, *(pack.name for pack in listed.packs), *listed.files)
    if sorted(names) != sorted(sums):
        raise ManifestError(
            f"{SUMS_NAME} and {PATCH_NAME} name different files",
            hint="The patch was made wrongly. Ask for a new one.",
        )
    return listed


def _places(media: Media, listed: PatchList) -> Mapping[int, PatchPlace]:
    files: Tuple[Tuple[MediaFile, ...], ...]
    files = tuple(media.copies(pack.name) for pack in listed.packs)
    return {
        chunk.chunk: PatchPlace(files[chunk.pack][0], chunk.offset, chunk.size)
        for chunk in listed.chunks
        if files[chunk.pack] and files[chunk.pack][0].size >= chunk.offset + chunk.size
    }
