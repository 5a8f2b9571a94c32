"""The bundle that is copied, seen as files: small ones whole, packs chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Buffer, digest_of
from sealift_manifests.errors import DigestMismatchError
from sealift_manifests.index import Chunk
from sealift_manifests.media import MediaFile
from sealift_manifests.parallel import ordered_map
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.verify import Progress

from sealift_bundler.media_plan import PlannedPack, packs_of

_CLUSTER = 128 << 10
"""Bytes; large sticks come with exFAT in such clusters."""


@dataclass(frozen=True)
class CopySource:
    """A verified bundle to copy from."""

    bundle: Bundle

    @property
    def name(self) -> str:
        """The name of its folder on a medium."""
        return f"{self.bundle.manifest.name}-{self.bundle.manifest.version}"

    @cached_property
    def packs(self) -> dict[str, PlannedPack]:
        """Its packs by name, in order."""
        return {pack.name: pack for pack in packs_of(self.bundle)}

    @cached_property
    def chunks(self) -> dict[str, list[Chunk]]:
        """The chunks of each pack, in order."""
        chunks: dict[str, list[Chunk]] = {name: [] for name in self.packs}
        names = list(chunks)
        for chunk in self.bundle.index.chunks:
            chunks[names[chunk.pack]].append(chunk)
        return chunks

    @cached_property
    def small(self) -> dict[str, bytes]:
        """The verified files that every medium gets, the signed list first."""
        bundle = self.bundle
        listed = sorted(set(bundle.sums) - set(self.packs))
        return {
            SUMS_NAME: bundle.document(SUMS_NAME),
            **dict(sorted(bundle.signatures.items())),
            **{name: bundle.document(name) for name in listed},
        }

    @property
    def small_size(self) -> int:
        """Bytes that these files take on media with large clusters."""
        return sum(-(-len(data) // _CLUSTER) * _CLUSTER for data in self.small.values())

    @property
    def names(self) -> tuple[str, ...]:
        """All its files."""
        return (*self.small, *self.packs)

    def lies_at(self, path: Path, name: str) -> bool:
        """Say whether a file of the bundle is read from this very place."""
        try:
            return os.path.samefile(self.bundle.media.open(name).label, path)
        except OSError:  # The label of a tar's member is no path.
            return False

    def blocks(self, pack: str, skipped: int, progress: Progress) -> Iterator[Buffer]:
        """Yield the stored bytes of a pack's chunks, hashed, from chunk `skipped` on.

        Raises DigestMismatchError or PayloadError where the source is not good.
        """
        file = self.bundle.media.open(pack)

        def read(chunk: Chunk) -> bytes:
            data = file.read_at(chunk.offset, chunk.stored_size)
            if digest_of(data) != chunk.stored_digest:
                raise _damaged(file, chunk)
            return data

        chunks = self.chunks[pack]
        progress(sum(chunk.stored_size for chunk in chunks[:skipped]))
        for data in ordered_map(read, chunks[skipped:]):
            yield data
            progress(len(data))


def _damaged(file: MediaFile, chunk: Chunk) -> DigestMismatchError:
    end = chunk.offset + chunk.stored_size
    return DigestMismatchError(
        f"{file.label}: bytes {chunk.offset} to {end} are not what was signed",
        hint="The source is damaged there. Copy from another copy of the bundle, or "
        "build it again; packs that are on media already stay good.",
    )
