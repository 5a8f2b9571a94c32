"""What people are told of the parity of a bundle."""

from __future__ import annotations

from sealift_manifests.index import Index
from sealift_manifests.sizes import counted, human


def parity_lines(index: Index) -> list[str]:
    """Return what parity takes and what it bears, if there is any."""
    parity = index.parity
    if not parity:
        return []
    size, packs = sum(file.size for file in parity.files), len(index.packs)
    stored = sum(pack.size for pack in index.packs)
    most = len(parity.group(0, packs).packs)
    return [
        f"  parity     {human(size)} ({size / stored:.3f} of the packs) in "
        f"{counted(len(parity.files), 'file')}: any {parity.depth} lost of "
        f"{most + parity.depth} can be rebuilt"
    ]
