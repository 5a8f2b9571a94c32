"""Find the signed root on the media: the SHA256SUMS whose signatures count.

Media of one bundle carry the same SHA256SUMS and signatures. A damaged copy on one
of them is set aside when another verifies; two that verify are two bundles.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

from sealift_manifests.errors import PayloadError, SealiftError, SignatureError
from sealift_manifests.media import Media, MediaFile
from sealift_manifests.sums import MAX_SUMS, SUMS_NAME
from sealift_manifests.trust import Accepted, Trust, check_signatures

MAX_SIGNATURE = 16 << 10
"""The largest accepted signature file, in bytes."""

MAX_SIGNATURES = 64
"""Each costs time before anything is trusted."""

_HINT = "Copy it again from where the bundle was built."


@dataclass(frozen=True)
class SignedRoot:
    """The bytes of SHA256SUMS, the signatures over it, and those that count.

    `doubts` says of which media the copies are not these, for people.
    """

    data: bytes
    signatures: Mapping[str, bytes]
    accepted: Tuple[Accepted, ...]
    doubts: Tuple[str, ...] = ()


def find_root(media: Media, trust: Trust, now: datetime) -> SignedRoot:
    """Return the root that trusted keys signed, or raise one of the trust errors.

    With copies that differ, the error is that of the first.
    """
    good: List[Tuple[SignedRoot, MediaFile]] = []
    doubts: List[str] = []
    errors: List[SealiftError] = []
    texts = _texts(media)
    for data, files in texts.items():
        others = {f.place for text in texts if text != data for f in texts[text]}
        places = [place for place in media.places if place not in others]
        try:
            root, aside = _accept(media, data, places, trust, now)
        except SealiftError as error:
            errors.append(error)
            doubts += [f"{file.label} does not verify" for file in files]
        else:
            good.append((root, files[0]))
            doubts += aside
    if not good:
        raise errors[0]
    if len(good) > 1:
        raise PayloadError(
            "these are media of different bundles: "
            + ", ".join(file.label for _, file in good),
            hint=f"Media of one bundle carry the same {SUMS_NAME}. Give the media "
            "of one bundle only.",
        )
    root, _ = good[0]
    return SignedRoot(root.data, root.signatures, root.accepted, tuple(doubts))


def _texts(media: Media) -> Dict[bytes, List[MediaFile]]:
    """Return the different SHA256SUMS there are, and the files that hold each."""
    media.open(SUMS_NAME)  # Says where it was looked for, if there is none.
    found: Dict[bytes, List[MediaFile]] = {}
    errors: List[PayloadError] = []
    for file in media.copies(SUMS_NAME):
        try:
            found.setdefault(file.read_all(MAX_SUMS), []).append(file)
        except PayloadError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def _accept(
    media: Media, data: bytes, places: Sequence[str], trust: Trust, now: datetime
) -> Tuple[SignedRoot, List[str]]:
    """Check the signatures on all these media, then those of each by itself."""
    errors: List[SealiftError] = []
    for chosen in _choices(places):
        try:
            signatures = read_signatures(media, chosen)
            accepted = check_signatures(data, signatures, trust, now)
        except SealiftError as error:
            errors.append(error)
            continue
        aside = [place for place in places if place not in chosen]
        doubts = [f"a signature on {place} may not verify" for place in aside]
        return SignedRoot(data, signatures, accepted), doubts
    raise errors[0]


def _choices(places: Sequence[str]) -> Iterator[Sequence[str]]:
    yield places
    if len(places) > 1:
        for place in places:
            yield (place,)


def read_signatures(media: Media, places: Sequence[str]) -> Dict[str, bytes]:
    """Return the signature files over SHA256SUMS on these media, by name."""
    names = [
        name
        for name in media.names()
        if name.startswith(SUMS_NAME + ".") and name.endswith(".sig")
    ]
    if len(names) > MAX_SIGNATURES:
        raise SignatureError(
            f"the bundle has {len(names)} signature files; at most {MAX_SIGNATURES} "
            "are looked at",
            hint=_HINT,
        )
    copies = ((name, media.copies(name)) for name in names)
    return {
        name: here[0].read_all(MAX_SIGNATURE)
        for name, files in copies
        if (here := [file for file in files if file.place in places])
    }
