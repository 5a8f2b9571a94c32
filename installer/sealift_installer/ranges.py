"""Ranges of bytes, [start, end): sorted, apart from each other, none empty. Pure."""

from __future__ import annotations

from bisect import bisect_right
from typing import Iterable, List, Tuple

Range = Tuple[int, int]
Ranges = Tuple[Range, ...]


def merged(ranges: Iterable[Range]) -> Ranges:
    """Return the bytes that any of these ranges has."""
    found: List[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif start < end:
            found.append((start, end))
    return tuple(found)


def without(ranges: Ranges, gone: Range) -> Ranges:
    """Return the bytes of `ranges` that are not in `gone`."""
    parts: List[Range] = []
    for start, end in ranges:
        parts.append((start, min(end, gone[0])))
        parts.append((max(start, gone[1]), end))
    return merged(part for part in parts if part[0] < part[1])


def covers(ranges: Ranges, wanted: Range) -> bool:
    """Say whether one of the ranges holds all of `wanted`."""
    at = bisect_right(ranges, (wanted[0], wanted[1])) - 1
    inside = [ranges[n] for n in (at, at + 1) if 0 <= n < len(ranges)]
    return any(start <= wanted[0] and wanted[1] <= end for start, end in inside)


def size_of(ranges: Ranges) -> int:
    """Return how many bytes these are."""
    return sum(end - start for start, end in ranges)
