"""Measure every byte of a bundle on every medium; say which are not what was signed.

The chunks cover the packs without gaps, so their digests settle every byte, on all
cores, and name the damaged ranges. The whole-pack digests in SHA256SUMS say the same
to `sha256sum -c`. A copy is judged by itself, whether or not another is good.
"""

from __future__ import annotations

from typing import AbstractSet, Any, Dict, Iterable, Iterator, List, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import DigestMismatchError, SealiftError
from sealift_manifests.measured_packs import MeasuredPacks, Progress, wrong_size
from sealift_manifests.measured_parity import MeasuredParity
from sealift_manifests.measured_patch import measure_patch
from sealift_manifests.sizes import counted, human
from sealift_manifests.small_files import measure_small
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.verification import (
    Lack,
    MediumReport,
    Verification,
    refusal,
)

__all__ = [
    "Progress",
    "bytes_to_measure",
    "measure",
    "summary",
    "verify_outline",
    "verify_payload",
]


def verify_payload(
    bundle: Bundle, progress: Progress, *, ignore_missing: bool = False
) -> Verification:
    """Measure everything; raise DigestMismatchError or PayloadError if it is not whole.

    It is whole when all media together have every signed byte. With `ignore_missing`
    it is enough that of what is here.
    """
    found = measure(bundle, progress)
    found.require(ignore_missing=ignore_missing)
    return found


def measure(
    bundle: Bundle, progress: Progress, known: AbstractSet[int] = frozenset()
) -> Verification:
    """Measure every copy of every signed file, from the media and not from the cache.

    What cannot be read is noted, and the rest is still judged. The caller knows that
    the chunks of these numbers are good: they are not read.
    """
    bundle.media.drop_cache()
    packs = MeasuredPacks(bundle, progress, known)
    parity = MeasuredParity(bundle, progress)
    small = measure_small(bundle.media, _expected(bundle))
    reports = [
        MediumReport(
            place,
            packs.good_on(place),
            tuple(files.good),
            (
                *files.damages,
                *packs.damages_on(place),
                *parity.damages_on(place),
            ),
            parity=parity.good_on(place),
        )
        for place, files in small.items()
    ]
    reports += [measure_patch(bundle, patch, progress) for patch in bundle.patches]
    lost, mended = packs.lacks()
    lacks = (*_small_lacks(bundle, reports), *lost)
    return Verification(tuple(reports), lacks, mended, parity.absent)


def summary(bundle: Bundle, found: Verification) -> Tuple[str, Dict[str, Any]]:
    """Return what was found on whole media: text for people, facts for JSON."""
    manifest, packs = bundle.manifest, bundle.index.packs
    size = sum(pack.size for pack in packs)
    signers = [one.key.fingerprint for one in bundle.accepted]
    lines = [
        *found.lines(),
        f"{found.verdict}: {manifest.name} {manifest.version}, {human(size)} in "
        f"{counted(len(packs), 'pack')}, signed by {', '.join(signers)}",
        f"root {bundle.root}",
        *(f"builds on {base}" for base in bundle.index.bases),
    ]
    return "\n".join(lines), {
        "bundle": manifest.name,
        "version": manifest.version,
        "serial": manifest.serial,
        "root": bundle.root,
        "signed_by": signers,
        "size": size,
        "unlisted": list(bundle.unlisted),
        "litter": list(bundle.litter),
        "builds_on": [base._asdict() for base in bundle.index.bases],
        **found.facts(),
    }


def beside(bundle: Bundle) -> Tuple[str, ...]:
    """Say, for people, what lies on the media and is not of the bundle."""
    told = (
        ("not part of the bundle, nobody signed", bundle.unlisted),
        ("left by other systems, ignored", bundle.litter),
    )
    return tuple(f"{what}: {', '.join(names)}" for what, names in told if names)


def bytes_to_measure(bundle: Bundle) -> int:
    """Return how many bytes `measure` tells the progress of."""
    copies = [
        size * len(bundle.media.copies(name)) for name, size in bundle.index.large_files
    ]
    patched = [chunk.size for one in bundle.patches for chunk in one.listed.chunks]
    return sum(copies) + sum(patched)


def verify_outline(bundle: Bundle, digests: Iterable[Digest]) -> None:
    """Raise for what shows before the packs are read: for use before any change.

    Compares the small files, and wants a place for every chunk of these contents.
    """
    damages, lacks = [], []
    for name in bundle.small_files:
        try:
            bundle.document(name)
        except SealiftError as error:
            changed = isinstance(error, DigestMismatchError)
            lacks.append(Lack(name, is_changed=changed))
            damages.append(error.message)
    for pack, numbers in _packs_not_at_hand(bundle, digests).items():
        name = bundle.index.packs[pack].name
        files = bundle.media.copies(name)
        why = bundle.rebuilder.why_not(numbers) if bundle.rebuilder else ""
        lacks.append(Lack(name, is_changed=bool(files), why=why))
        damages += [str(wrong_size(bundle, pack, file, ())) for file in files]
        if not files:
            damages.append(f"{name}: not found on {', '.join(bundle.media.places)}")
    if lacks:
        raise refusal(lacks, damages, {}, end=" Nothing was changed.")


def _packs_not_at_hand(
    bundle: Bundle, digests: Iterable[Digest]
) -> Dict[int, List[int]]:
    """Return the chunks of these contents that have no place, by their packs."""
    contents, chunks = bundle.index.contents, bundle.index.chunks
    numbers = {number for digest in digests for number in contents[digest].chunks}
    found: Dict[int, List[int]] = {}
    for number in sorted(numbers):
        if not chunks[number].is_base and not bundle.is_at_hand(number):
            found.setdefault(chunks[number].pack, []).append(number)
    return found


def _expected(bundle: Bundle) -> Dict[str, Digest]:
    """Return the digests of the small files, and of what was accepted with them."""
    signed = {name: bundle.sums[name] for name in bundle.small_files}
    signatures = {name: digest_of(data) for name, data in bundle.signatures.items()}
    return {**signed, **signatures, SUMS_NAME: bundle.root}


def _small_lacks(bundle: Bundle, reports: Iterable[MediumReport]) -> Iterator[Lack]:
    reports = tuple(reports)
    good = {name for report in reports for name in report.files}
    for name in bundle.small_files:
        if name not in good:
            kinds = [d.kind for r in reports for d in r.damages if d.name == name]
            yield Lack(name, is_here=bool(kinds), is_changed="changed" in kinds)
