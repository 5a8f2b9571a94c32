"""What to write on the media: one label for each, as plain text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sealift_manifests.sizes import human

from sealift_bundler.copy_record import Stick
from sealift_bundler.copy_source import CopySource
from sealift_bundler.media_plan import holds, ranges


def labels(source: CopySource, sticks: Sequence[Stick]) -> str:
    """Return the labels of a whole set, divided by empty lines."""
    return "\n".join(
        _label(source, stick, f"stick {number} of {len(sticks)}")
        for number, stick in enumerate(sticks, start=1)
    )


def _label(source: CopySource, stick: Stick, place: str) -> str:
    bundle = source.bundle
    here = [source.packs[name] for name in stick.packs]
    signers = ", ".join(one.key.fingerprint for one in bundle.accepted)
    size = human(sum(pack.size for pack in here))
    lines = [
        f"{bundle.manifest.name} {bundle.manifest.version}   {place}",
        f"{ranges(here)} of {len(source.packs)}, {size}",
        ", ".join(holds(here)),
        f"root {bundle.root.hex[:16]}   written {stick.written[:10]}",
        f"signed by {signers}",
    ]
    return "".join(f"{line}\n" for line in lines if line)
