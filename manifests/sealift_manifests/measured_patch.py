"""Measure a patch: its own small files, and its chunks by the bundle's digests."""

from __future__ import annotations

from typing import Dict, List, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import digest_of
from sealift_manifests.measured_packs import Progress
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.patch import Patch
from sealift_manifests.repair import PatchChunk
from sealift_manifests.small_files import measure_small
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.verification import Damage, MediumReport

_scratch = Scratch()


def measure_patch(bundle: Bundle, patch: Patch, progress: Progress) -> MediumReport:
    """Return what is good and what is not in a patch of the bundle."""
    packs = {pack.name for pack in patch.listed.packs}
    expected = {name: d for name, d in patch.sums.items() if name not in packs}
    expected.update({n: digest_of(data) for n, data in patch.signatures.items()})
    small = measure_small(patch.media, {**expected, SUMS_NAME: patch.root})
    (files,) = small.values()
    bad = _bad_chunks(bundle, patch, progress)
    return MediumReport(
        patch.place,
        (),
        tuple(files.good),
        (*files.damages, *_damages(patch, bad)),
        patched=len(patch.listed.chunks) - sum(map(len, bad.values())),
    )


def _bad_chunks(
    bundle: Bundle, patch: Patch, progress: Progress
) -> Dict[int, List[PatchChunk]]:
    """Return the bad chunks of each pack of the patch that has any."""

    def is_good(chunk: PatchChunk) -> bool:
        stored = _scratch.take(chunk.size)
        known = bundle.index.chunks[chunk.chunk].stored_digest
        return patch.read_stored(chunk.chunk, stored) and digest_of(stored) == known

    bad: Dict[int, List[PatchChunk]] = {}
    listed = patch.listed.chunks
    for chunk, good in zip(listed, ordered_map(is_good, listed)):
        progress(chunk.size)
        if not good:
            bad.setdefault(chunk.pack, []).append(chunk)
    return bad


def _damages(patch: Patch, bad: Dict[int, List[PatchChunk]]) -> List[Damage]:
    found = []
    for number, pack in enumerate(patch.listed.packs):
        files = patch.media.copies(pack.name)
        label = files[0].label if files else pack.name
        ranges: Tuple[Tuple[int, int], ...]
        ranges = tuple((c.offset, c.offset + c.size) for c in bad.get(number, ()))
        if not files:
            found.append(Damage(pack.name, label, "missing", "is missing"))
        elif files[0].size != pack.size:
            detail = f"has {files[0].size} bytes where {pack.size} were signed"
            found.append(Damage(pack.name, label, "wrong-size", detail, ranges))
        elif ranges:
            detail = "is not what was signed, or cannot be read"
            found.append(Damage(pack.name, label, "changed", detail, ranges))
    return found
