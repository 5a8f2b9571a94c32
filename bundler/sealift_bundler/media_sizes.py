"""Sizes of sticks and discs as they are sold, and of bundles not made yet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sealift_manifests.index import MAX_CHUNK

from sealift_bundler.media_plan import LargeFile, Medium, count_needed
from sealift_bundler.parity import Ratio, parity_name
from sealift_bundler.record import pack_name

GB = 10**9
STICKS = (16, 32, 64, 128, 256, 512)
"""Sizes of USB sticks as they are sold, in GB."""

DISCS = {
    "4.7 GB DVD": 4_700_372_992,
    "8.5 GB DVD": 8_543_666_176,
    "25 GB Blu-ray": 25_025_315_816,
    "50 GB Blu-ray": 50_050_629_632,
}
"""Recordable discs and the bytes they take; of two kinds the smaller one."""

_OF_STICK = 0.95
"""What file system and maker leave of a stick."""

_OF_DISC = 0.995
"""What UDF or ISO 9660 leave of a disc."""

_UNIT = 128 << 10
"""Large sticks come with exFAT in clusters of this many bytes."""


def stick(size: int, small: int) -> Medium:
    """Return a stick sold as `size` bytes, with `small` bytes for the small files."""
    room = int(size * _OF_STICK) - small
    return Medium(size_name(size), max(room, 0), _UNIT)


def usual_sticks(files: Sequence[LargeFile], small: int) -> dict[int, int]:
    """Return how many sticks of each usual size, in GB, a bundle fills."""
    counts = {size: count_needed(files, stick(size * GB, small)) for size in STICKS}
    return {size: count for size, count in counts.items() if count}


def usual_discs(files: Sequence[LargeFile], small: int) -> dict[str, int]:
    """Return how many discs of each usual kind a bundle fills."""
    media = {
        name: Medium(name, max(int(size * _OF_DISC) - small, 0), 2048)
        for name, size in DISCS.items()
    }
    counts = {name: count_needed(files, medium) for name, medium in media.items()}
    return {name: count for name, count in counts.items() if count}


def size_name(size: int) -> str:
    """Return the size of a medium as it is sold: `64 GB`, `4.7 GB`."""
    unit, name = (GB, "GB") if size >= GB else (10**6, "MB")
    return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"


def expected_packs(
    items: Iterable[tuple[str, int]], part_size: int
) -> tuple[LargeFile, ...]:
    """Return the packs that a build would cut from items of (name, bytes), in order.

    A pack ends where the next chunk would not fit; chunks are taken to be of the
    full size, which `part_size` is at least.
    """
    most = part_size // MAX_CHUNK * MAX_CHUNK
    packs: list[LargeFile] = []
    size, names = 0, dict[str, None]()
    for name, rest in items:
        while rest:
            if size == most:
                packs.append(LargeFile(pack_name(len(packs)), size, tuple(names)))
                size, names = 0, {}
            part = min(rest, most - size)
            size, rest = size + part, rest - part
            names[name] = None
    if size:
        packs.append(LargeFile(pack_name(len(packs)), size, tuple(names)))
    return tuple(packs)


def with_parity(
    packs: tuple[LargeFile, ...], ratio: Ratio | None, part_size: int
) -> tuple[LargeFile, ...]:
    """Return the packs in a row with the most parity files that a build would make."""
    if ratio is None:
        return packs
    size = sum(pack.size for pack in packs)
    longest = min(size, part_size)
    names = map(parity_name, range(ratio.most_files(size, part_size)))
    row = tuple(replace(pack, in_row=True) for pack in packs)
    return (*row, *(LargeFile(name, longest, in_row=True) for name in names))


def expected_small_files(size: int) -> int:
    """Return bytes for the small files of a bundle of `size` bytes.

    Nearly all of it is index.json: some hundred bytes for each chunk.
    """
    return (4 << 20) + size // 8192
