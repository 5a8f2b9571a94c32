"""Measure stretches of one file that have digests of their own, on all cores."""

from __future__ import annotations

from typing import Callable, Generator, Iterable, Tuple

from sealift_manifests.digests import digest_of
from sealift_manifests.errors import PayloadError
from sealift_manifests.media import MediaFile
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.parity import Unit

_read = Scratch()


def measured(file: MediaFile, units: Iterable[Unit]) -> Generator[bool, None, None]:
    """Say of each unit in turn whether a file holds it whole and good."""

    def expect(unit: Unit) -> Unit:
        file.expect(unit.start, unit.end - unit.start)
        return unit

    return ordered_map(lambda unit: is_good(file, unit), map(expect, units))


def bad_ranges(
    file: MediaFile, units: Iterable[Unit], progress: Callable[[int], None]
) -> Tuple[Tuple[int, int], ...]:
    """Return the ranges [start, end) of the units that a file does not hold.

    `progress` is told of the bytes that were measured.
    """
    units, bad = tuple(units), []
    for unit, good in zip(units, measured(file, units)):
        progress(unit.end - unit.start)
        if not good:
            bad.append((unit.start, unit.end))
    return tuple(bad)


def is_good(file: MediaFile, unit: Unit) -> bool:
    """Read a unit of a file; say whether it has its digest."""
    data = _read.take(unit.end - unit.start)
    try:
        file.read_into(data, unit.start)
    except PayloadError:
        return False
    return digest_of(data) == unit.digest
