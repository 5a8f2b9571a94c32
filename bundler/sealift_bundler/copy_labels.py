"""What to write on the media: one label for each, as plain text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sealift_manifests.sizes import human

from sealift_bundler.copy_record import Stick
from sealift_bundler.copy_source import CopySource
from sealift_bundler.media_plan import LargeFile, holds, ranges


def labels(source: CopySource, sticks: Sequence[Stick]) -> str:
    """Return the labels of a whole set, divided by empty lines."""
    return "\n".join(
        _label(source, stick, f"stick {number} of {len(sticks)}")
        for number, stick in enumerate(sticks, start=1)
    )


def _of_all(source: CopySource, here: Sequence[LargeFile]) -> str:
    """Return the numbers of packs, and of parity files, and how many there are."""
    parts = []
    for is_parity in (False, True):
        of_kind = [file for file in here if file.is_parity == is_parity]
        total = sum(file.is_parity == is_parity for file in source.large.values())
        if of_kind:
            parts.append(f"{ranges(of_kind)} of {total}")
    return ", ".join(parts) or ranges([])


def _label(source: CopySource, stick: Stick, place: str) -> str:
    bundle = source.bundle
    here = [source.large[name] for name in stick.files]
    signers = ", ".join(one.key.fingerprint for one in bundle.accepted)
    size = human(sum(file.size for file in here))
    lines = [
        f"{bundle.manifest.name} {bundle.manifest.version}   {place}",
        f"{_of_all(source, here)}, {size}",
        ", ".join(holds(here)),
        f"root {bundle.root.hex[:16]}   written {stick.written[:10]}",
        f"signed by {signers}",
    ]
    return "".join(f"{line}\n" for line in lines if line)
