"""Measure the small files on media, each copy by itself."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import PayloadError
from sealift_manifests.media import Media, MediaFile
from sealift_manifests.model import MAX_MANIFEST
from sealift_manifests.trust import is_signature_file
from sealift_manifests.verification import Damage


class SmallFiles(NamedTuple):
    """The good small files of a medium, by name, and what is wrong with the others."""

    good: List[str]
    damages: List[Damage]


def measure_small(
    media: Media, expected: Mapping[str, Digest]
) -> Dict[str, SmallFiles]:
    """Measure what the media hold of these files; return it for each medium.

    A signature that is not expected was not looked at, or does not verify: it counts
    as damage.
    """
    found = {place: SmallFiles([], []) for place in media.places}
    for place, message in media.faults.items():
        found[place].damages.append(Damage(place, place, "unreadable", message))
    for name in media.names():
        if name in expected or is_signature_file(name):
            for file in media.copies(name):
                damage = _measure(name, file, expected.get(name))
                if damage:
                    found[file.place].damages.append(damage)
                else:
                    found[file.place].good.append(name)
    return found


def _measure(
    name: str, file: MediaFile, expected: Optional[Digest]
) -> Optional[Damage]:
    if expected is None:
        return Damage(name, file.label, "changed", "may not be a good signature")
    try:
        measured = digest_of(file.read_all(MAX_MANIFEST))
    except PayloadError as error:
        detail = error.message.replace(file.label, "").strip()
        return Damage(name, file.label, "unreadable", detail)
    if measured != expected:
        return Damage(name, file.label, "changed", "is not what was signed")
    return None
