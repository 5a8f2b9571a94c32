"""Is there room for the bundle? Asked before it is packed.

What it comes to is known only afterwards. So there are two bounds: every byte stored as
it is, and what samples of the files shrink to, equal files counted once. Deciding is
pure; `least_size` reads the samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sealift_manifests.codecs import WIDTHS
from sealift_manifests.errors import OutputError
from sealift_manifests.sizes import human

from sealift_bundler.encode import encode

_SAMPLES = 8
_SAMPLE = 64 << 10
_SAFETY = 2
"""Samples may mislead, and files may share parts: only half of it is held for sure."""


def least_size(files: Iterable[tuple[Path, int]]) -> int:
    """Return what files, with their sizes, come to in a bundle at the very least.

    In bytes. Files of one size may be equal, and are stored once then. Raises OSError.
    """
    found: dict[int, int] = {}
    for path, size in files:
        least = int(size * _ratio(path, size)) // _SAFETY
        found[size] = min(least, found.get(size, least))
    return sum(found.values())


def require_room(directory: Path, free: int, least: int, most: int) -> str:
    """Return a warning, empty if `most` bytes fit into `free`.

    Raises OutputError when not even `least` fits.
    """
    if free < least:
        raise OutputError(
            f"{directory} has {human(free)} free, and the bundle needs at least "
            f"{human(least)} more: {human(least - free)} are missing",
            hint=f"Make room there (for {human(most)}, to be sure), or choose another "
            "place with -o.",
        )
    if free < most:
        return (
            f"{directory} has {human(free)} free, and the bundle needs up to "
            f"{human(most)} more: it may not fit"
        )
    return ""


def _ratio(path: Path, size: int) -> float:
    """Return how much samples of a file shrink to, as a part of one."""
    if not size:
        return 0.0
    last = max(0, size - _SAMPLE)
    with path.open("rb") as file:
        starts = {last * n // (_SAMPLES - 1) // 8 * 8 for n in range(_SAMPLES)}
        samples = [os.pread(file.fileno(), _SAMPLE, start) for start in sorted(starts)]
    data = b"".join(samples)
    stored = min(len(encode(data, width).stored) for width in (1, *WIDTHS))
    return stored / max(1, len(data))
