"""Measure stretches of one file that have digests of their own, on all cores."""

from __future__ import annotations

from typing import Generator, Iterable

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


def is_good(file: MediaFile, unit: Unit) -> bool:
    """Read a unit of a file; say whether it has its digest."""
    data = _read.take(unit.end - unit.start)
    try:
        file.read_into(data, unit.start)
    except PayloadError:
        return False
    return digest_of(data) == unit.digest
