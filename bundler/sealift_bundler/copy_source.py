"""The bundle that is copied, seen as files: small ones whole, large ones in units.

A unit is what has a digest of its own: a chunk of a pack, a block of a parity file.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Buffer, digest_of
from sealift_manifests.errors import DigestMismatchError, PayloadError, SealiftError
from sealift_manifests.media import MediaFile
from sealift_manifests.parallel import ordered_map
from sealift_manifests.parity import Unit
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.verify import Progress

from sealift_bundler.buffers import Buffers
from sealift_bundler.media_plan import LargeFile, large_files_of

_CLUSTER = 128 << 10
"""Bytes; large sticks come with exFAT in such clusters."""

_DAMAGED = (
    "The source is damaged there. Copy from another copy of the bundle, or build it "
    "again; files that are on media already stay good."
)


@dataclass(frozen=True)
class CopySource:
    """A verified bundle to copy from."""

    bundle: Bundle

    @property
    def name(self) -> str:
        """The name of its folder on a medium."""
        return f"{self.bundle.manifest.name}-{self.bundle.manifest.version}"

    @cached_property
    def large(self) -> dict[str, LargeFile]:
        """Its packs by name, in order, then its parity files."""
        return {file.name: file for file in large_files_of(self.bundle)}

    @cached_property
    def units(self) -> dict[str, list[Unit]]:
        """The ranges of each of these that have a digest of their own, in order."""
        index = self.bundle.index
        units: dict[str, list[Unit]] = {pack.name: [] for pack in index.packs}
        names = list(units)
        for chunk in index.chunks:
            if chunk.is_base:  # The host has it: it lies in no pack.
                continue
            end = chunk.offset + chunk.stored_size
            unit = Unit(chunk.offset, end, chunk.stored_digest)
            units[names[chunk.pack]].append(unit)
        for file in index.parity.files if index.parity else ():
            units[file.name] = list(file.units(0, file.size))
        return units

    @cached_property
    def small(self) -> dict[str, bytes]:
        """The verified files that every medium gets, the signed list first."""
        bundle = self.bundle
        return {
            SUMS_NAME: bundle.document(SUMS_NAME),
            **dict(sorted(bundle.signatures.items())),
            **{name: bundle.document(name) for name in bundle.small_files},
        }

    @property
    def small_size(self) -> int:
        """Bytes that these files take on media with large clusters."""
        return sum(-(-len(data) // _CLUSTER) * _CLUSTER for data in self.small.values())

    @property
    def names(self) -> tuple[str, ...]:
        """All its files."""
        return (*self.small, *self.large)

    @property
    def spoiled(self) -> tuple[str, ...]:
        """Where the source was bad so far, and another copy or parity was not."""
        labels = [bad.file.label for bad in self.bundle.bad_copies]
        rebuilt = [f"{name}, rebuilt from parity" for name in self.bundle.rebuilt]
        return tuple(sorted({*labels, *rebuilt}))

    def lies_at(self, path: Path, name: str) -> bool:
        """Say whether a file of the bundle is read from this very place."""
        return any(_is_at(copy, path) for copy in self.bundle.media.copies(name))

    def require_parity(self) -> None:
        """Raise PayloadError if a parity file is missing: nothing makes it anew."""
        for name, file in self.large.items():
            if file.is_parity:
                self.bundle.media.open(name)

    def blocks(
        self, name: str, skipped: int, progress: Progress
    ) -> Generator[Buffer, None, None]:
        """Yield the bytes of a large file, hashed, unit by unit from `skipped` on.

        They last until the next are asked for.

        Raises DigestMismatchError or PayloadError where no source is good.
        """
        units, lent = self.units[name], Buffers()
        progress(sum(unit.end - unit.start for unit in units[:skipped]))

        def read(number: int) -> memoryview:
            unit = units[number]
            data = lent.take(unit.end - unit.start)
            if self.large[name].is_parity:
                self._read_parity(name, unit, data)
            else:
                self._read_chunk(self._first_chunks[name] + number, data)
            return data

        def expect(number: int) -> int:
            unit = units[number]
            self.bundle.media.expect(name, unit.start, unit.end - unit.start)
            return number

        numbers = map(expect, range(skipped, len(units)))
        for data in ordered_map(read, numbers):
            yield data
            progress(len(data))
            lent.give_back(data)

    @cached_property
    def _first_chunks(self) -> dict[str, int]:
        """The number of the first chunk of each pack."""
        first: dict[str, int] = {}
        for number, chunk in enumerate(self.bundle.index.chunks):
            if not chunk.is_base:
                first.setdefault(self.bundle.index.packs[chunk.pack].name, number)
        return first

    def _read_chunk(self, number: int, data: memoryview) -> None:
        """Read stored bytes from the first good copy, or rebuild them."""
        try:
            self.bundle.read_stored(number, data)
        except DigestMismatchError as error:
            raise DigestMismatchError(error.message, hint=_DAMAGED) from error

    def _read_parity(self, name: str, unit: Unit, data: memoryview) -> None:
        """Read a block of a parity file from the first good copy."""
        errors: list[SealiftError] = []
        self.bundle.media.open(name)  # Says where it was looked for.
        for file in self.bundle.media.copies(name):
            try:
                file.read_into(data, unit.start)
            except PayloadError as error:
                errors.append(error)
                continue
            if digest_of(data) == unit.digest:
                return
            message = (
                f"{file.label}: bytes {unit.start} to {unit.end} are not what was "
                "signed"
            )
            errors.append(DigestMismatchError(message, hint=_DAMAGED))
        raise errors[0]


def _is_at(file: MediaFile, path: Path) -> bool:
    try:
        return os.path.samefile(file.label, path)
    except OSError:  # The label of a tar's member is no path.
        return False
