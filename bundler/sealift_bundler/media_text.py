"""How packs and media are told: lines for people, facts for machines, the error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sealift_manifests.errors import OutputError
from sealift_manifests.sizes import human

from sealift_bundler.media_plan import LargeFile, Layout, Medium, count_needed, ranges
from sealift_bundler.media_plan import holds as held_by
from sealift_bundler.media_sizes import usual_discs, usual_sticks
from sealift_bundler.part_size import MAX_PART_SIZE


class MediaShortError(OutputError):
    """The media are too few or too small. `facts` holds the layout, as `media`."""

    def __init__(self, message: str, *, hint: str, facts: dict[str, Any]) -> None:
        super().__init__(message, hint=hint, facts={"media": facts})


def usual_lines(files: Sequence[LargeFile], small: int) -> list[str]:
    """Return how many sticks, and how many discs, of each usual size it would take.

    `small` is the bytes of the small files, which every medium gets.
    """
    sticks = {f"{gb} GB": many for gb, many in usual_sticks(files, small).items()}
    lines = []
    for label, counts in (("sticks", sticks), ("discs", usual_discs(files, small))):
        words = _until_one(counts)
        if words:
            lines.append(f"  {label:<10} {' or '.join(words)}")
    if any(file.size > MAX_PART_SIZE for file in files):
        lines.append("  format     exFAT or ext4: FAT32 takes no pack of 4 GiB or more")
    return lines


def usual_facts(files: Sequence[LargeFile], small: int) -> dict[str, Any]:
    """Return the same for JSON."""
    sticks = usual_sticks(files, small)
    return {
        "sticks": {f"{size}GB": many for size, many in sticks.items()},
        "discs": usual_discs(files, small),
    }


def _until_one(counts: dict[str, int]) -> list[str]:
    """Leave out what is larger than a size of which one is enough."""
    words = []
    for name, many in counts.items():
        words.append(f"{many} x {name}")
        if many == 1:
            break
    return words


def layout_lines(layout: Layout) -> list[str]:
    """Return one line for each medium: its files, their size, what they hold."""
    lines = []
    for number, load in enumerate(layout.loads, start=1):
        what = f"{ranges(load.files)}, {human(load.size)}" if load.files else "not used"
        parts = ", ".join(held_by(load.files))
        lines.append(f"  {number}  {load.medium.name}  {what}  {parts}".rstrip())
    if layout.left:
        lines.append(f"  no room for {ranges(layout.left)}, {human(layout.short)}")
    return lines


def layout_facts(layout: Layout) -> dict[str, Any]:
    """Return a layout for JSON; sizes in bytes."""
    return {
        "fits": not layout.left,
        "short": layout.short,
        "left": [file.name for file in layout.left],
        "media": [
            {
                "medium": load.medium.name,
                "size": load.size,
                "packs": [each.name for each in load.files if not each.is_parity],
                "parity": [each.name for each in load.files if each.is_parity],
                "holds": list(held_by(load.files)),
            }
            for load in layout.loads
        ],
    }


def require_room(layout: Layout) -> None:
    """Raise MediaShortError unless every file has found room."""
    if not layout.left:
        return
    media = [load.medium for load in layout.loads]
    raise MediaShortError(
        f"no room for {ranges(layout.left)} ({human(layout.short)})",
        hint=_what_would_do(layout.left, media),
        facts=layout_facts(layout),
    )


def _what_would_do(left: Sequence[LargeFile], media: Iterable[Medium]) -> str:
    largest = max(media, key=lambda medium: medium.room)
    more = count_needed(left, largest)
    if more:
        return f"Take {more} more like {largest.name}, or larger ones."
    pack = max(pack.size for pack in left)
    return (
        f"One pack has {human(pack)}, and {largest.name} has room for "
        f"{human(largest.room)}. Take larger media, or build with --part-size "
        f"{max(largest.room >> 20, 8)}MiB or less."
    )
