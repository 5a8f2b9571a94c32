"""Measure the parity files on media block by block, each copy by itself.

An install can do without them as long as the packs are good, so what is bad or missing
here is to be replaced, and keeps nothing from being whole.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.measured_packs import Progress, joined
from sealift_manifests.measured_units import bad_ranges
from sealift_manifests.media import MediaFile
from sealift_manifests.parity import ParityFile
from sealift_manifests.verification import Damage

_SPARE = "only rebuilding would need it"


class MeasuredParity:
    """The copies of all parity files, measured. `absent` are those on no medium."""

    def __init__(self, bundle: Bundle, progress: Progress) -> None:
        files = bundle.index.parity.files if bundle.index.parity else ()
        self._good: Dict[str, List[str]] = {}
        self._damages: Dict[str, List[Damage]] = {}
        copies = [(file, bundle.media.copies(file.name)) for file in files]
        self.absent = tuple(file.name for file, found in copies if not found)
        for file, found in copies:
            for copy in found:
                self._measure(file, copy, progress)

    def _measure(self, file: ParityFile, copy: MediaFile, progress: Progress) -> None:
        bad = joined(bad_ranges(copy, file.units(0, file.size), progress))
        if not bad and copy.size == file.size:
            self._good.setdefault(copy.place, []).append(file.name)
            return
        kind, detail = "changed", "is not what was signed"
        if copy.size != file.size:
            kind = "wrong-size"
            detail = f"has {copy.size} bytes where {file.size} were signed"
        damage = Damage(file.name, copy.label, kind, f"{detail}; {_SPARE}", bad)
        self._damages.setdefault(copy.place, []).append(damage)

    def good_on(self, place: str) -> Tuple[str, ...]:
        """Return the parity files of which this medium has a good copy."""
        return tuple(self._good.get(place, ()))

    def damages_on(self, place: str) -> Tuple[Damage, ...]:
        """Return what is wrong with the parity files on this medium."""
        return tuple(self._damages.get(place, ()))
