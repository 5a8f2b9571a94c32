"""Small packs with parity, as a build writes them, and ways to spoil them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import sealift_bundler.parity
import sealift_manifests.parity
from making import noise
from sealift_bundler.parity import Ratio, write_parity
from sealift_bundler.target import DirectoryTarget
from sealift_manifests.codecs import RAW
from sealift_manifests.digests import digest_of
from sealift_manifests.index import Chunk, Index, Pack
from sealift_manifests.media import Media
from sealift_manifests.parity import Parity, Unit
from sealift_manifests.rebuild import Rebuilder

BLOCK = 8
"""Bytes of a block of parity here: packs of a few bytes have several."""


@dataclass(frozen=True)
class Protected:
    """Packs and parity files in a folder, and the index that tells of them."""

    folder: Path
    index: Index
    parity: Parity

    @property
    def names(self) -> list[str]:
        """The packs, then the parity files."""
        return [name for name, _ in self.index.large_files]

    def units(self, name: str) -> list[Unit]:
        """Return the ranges of a file that have digests."""
        for file in self.parity.files:
            if file.name == name:
                return list(file.units(0, file.size))
        number = self.names.index(name)
        return [
            Unit(chunk.offset, chunk.offset + chunk.stored_size, chunk.stored_digest)
            for chunk in self.index.chunks
            if chunk.pack == number
        ]

    @contextmanager
    def rebuilder(self, *places: Path) -> Iterator[Rebuilder]:
        """Open what is left of the files."""
        with Media([str(place) for place in places or (self.folder,)]) as media:
            yield Rebuilder(media, self.index, self.parity)

    def stored(self, number: int) -> bytes:
        """Return the bytes of a chunk, as they were made."""
        return _stored(
            self.index.chunks[number].pack, self.index.chunks[number].offset
        )[: self.index.chunks[number].stored_size]


@contextmanager
def small_blocks() -> Iterator[None]:
    """Make blocks of parity so small that small packs have several."""
    with (
        mock.patch.object(sealift_manifests.parity, "BLOCK", BLOCK),
        mock.patch.object(sealift_bundler.parity, "BLOCK", BLOCK),
    ):
        yield


def protect(folder: Path, packs: Sequence[Sequence[int]], ratio: Ratio) -> Protected:
    """Write packs of chunks of these sizes, and their parity, below a folder."""
    target = DirectoryTarget(folder / "made")
    chunks, made = [], []
    for number, sizes in enumerate(packs):
        offset, sink = 0, target.create(f"data-{number + 1:04}.pack")
        for size in sizes:
            data = _stored(number, offset)[:size]
            digest = digest_of(data)
            chunks.append(Chunk(digest, size, RAW, 1, number, offset, size, digest))
            sink.write(data)
            offset += size
        sink.close()
        made.append(Pack(f"data-{number + 1:04}.pack", offset))
    parity, _ = write_parity(target, made, ratio, lambda size: None)
    index = Index(tuple(made), tuple(chunks), {}, parity=parity)
    return Protected(target.commit(), index, parity)


def _stored(pack: int, offset: int) -> bytes:
    return noise(f"{pack} {offset}", 128)
