"""Read the pieces of a file, the next while those before are worked on."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from itertools import chain, islice

from sealift_manifests.parallel import ordered_map

from sealift_bundler.buffers import Buffers
from sealift_bundler.chunking import Piece
from sealift_bundler.direct import DirectFile
from sealift_bundler.page_cache import cached_share

_MOSTLY = 0.5


def read_pieces(
    fd: int, pieces: Iterable[Piece], buffers: Buffers
) -> Generator[tuple[memoryview, int], None, None]:
    """Yield (bytes, element width) for each piece of an open file. Close this first.

    What lies in memory already is taken from there, other files straight from the disk.
    Raises EOFError when the file is shorter than that.
    """
    rest = iter(pieces)
    first = list(islice(rest, 2))
    is_small = len(first) < 2
    usual = is_small or cached_share(fd) > _MOSTLY
    with closing(DirectFile(fd, usual=usual)) as file:

        def read(piece: Piece) -> tuple[memoryview, int]:
            return file.read(buffers, piece.offset, piece.size), piece.width

        if is_small:
            yield from map(read, first)
            return
        with closing(ordered_map(read, chain(first, rest), workers=1)) as ahead:
            yield from ahead
