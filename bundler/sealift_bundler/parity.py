"""Make the parity files of a bundle from its finished packs.

The packs of a group are read side by side, a column of the same offsets of each at a
time, and the parity files of the group are written with it. So each pack is read once,
and memory does not grow with the packs.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from sealift_manifests.digests import Buffer, Digest, from_hex
from sealift_manifests.erasure import MAX_ROWS, coefficient, products
from sealift_manifests.errors import UsageError
from sealift_manifests.index import MAX_CHUNK, Pack
from sealift_manifests.media import MediaFile
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.parity import BLOCK, SUFFIX, Parity, ParityFile, group_of
from sealift_manifests.verify import Progress

from sealift_bundler.sinks import Sink
from sealift_bundler.target import Target, open_written

_AT_ONCE = 2
"""One column is computed while the next is read; computing takes one core at most."""

_MEMORY = 16 << 20
"""Bytes of parity that one column may take, in all parity files of a group together."""

_LEAST = 64 << 10
_PIECE = 256 << 10
_RATIO = re.compile(r"([0-9]{1,3})/([0-9]{1,3})\Z")
_read = Scratch()


@dataclass(frozen=True)
class Ratio:
    """So many parity files for each group of at most so many packs."""

    files: int
    packs: int

    @classmethod
    def parse(cls, text: str) -> Ratio:
        """Return the ratio that `M/N` says; raise UsageError if it says none."""
        match = _RATIO.match(text.strip())
        files, packs = map(int, match.groups()) if match else (0, 0)
        if not (files and packs and files + packs <= MAX_ROWS):
            raise UsageError(
                f"{text!r} is no ratio of parity",
                hint="Write how many parity files to make for each group of how many "
                f"packs, such as 1/20; both at least 1, together at most {MAX_ROWS}.",
            )
        return cls(files, packs)

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.files}/{self.packs}"

    def groups(self, packs: int) -> int:
        """Return into how many groups this many packs fall."""
        return math.ceil(packs / self.packs)

    def most_files(self, size: int, part_size: int) -> int:
        """Return the most parity files that `size` bytes in packs get."""
        # A pack ends where the next chunk does not fit; two neighbours are never one.
        filled = max(part_size - MAX_CHUNK, part_size // 2)
        packs = 1 if size <= part_size else math.ceil(size / filled)
        return self.files * self.groups(packs) if size else 0

    def bound(self, size: int, part_size: int) -> int:
        """Return the most bytes that parity takes for `size` bytes in packs."""
        return self.most_files(size, part_size) * min(size, part_size)


def parity_name(number: int) -> str:
    """Return the file name of a parity file; numbers count from 0."""
    return f"parity-{number + 1:04}{SUFFIX}"


def write_parity(
    target: Target, packs: Sequence[Pack], ratio: Ratio, progress: Progress
) -> tuple[Parity, dict[str, Digest]]:
    """Write the parity files of these packs; return what they are, and their digests.

    `progress` is told of the bytes of packs that were read.
    """
    count, groups = len(packs), ratio.groups(len(packs))
    parts = [group_of(number, count, groups, ratio.files) for number in range(groups)]
    longest = {
        file: max(packs[pack].size for pack in group.packs)
        for group in parts
        for file in group.files
    }
    names = [parity_name(number) for number in range(len(longest))]
    begin = target.reserve([(name, longest[n]) for n, name in enumerate(names)])
    made: dict[int, ParityFile] = {}
    digests: dict[str, Digest] = {}
    for group in parts:
        writers = [_Writer(names[number], begin(number)) for number in group.files]
        with open_written(target.path, packs, group.packs) as files:
            for column in _columns(files, len(writers), progress):
                for writer, data in zip(writers, column, strict=True):
                    writer.write(data)
        for number, writer in zip(group.files, writers, strict=True):
            made[number] = writer.close()
            digests[writer.name] = writer.digest
    return Parity(groups, tuple(file for _, file in sorted(made.items()))), digests


def column_width(files: int) -> int:
    """Return how many bytes of each pack to read at a time for so many parity files.

    It divides a block, so that each block is one write or more.
    """
    width = BLOCK
    while width * files > _MEMORY and width > _LEAST:
        width //= 2
    return width


def _columns(
    packs: Sequence[MediaFile], count: int, progress: Progress
) -> Iterator[list[memoryview]]:
    """Yield the bytes of `count` parity files for each column of these packs."""
    width, size = column_width(count), max(pack.size for pack in packs)

    def compute(start: int) -> list[memoryview]:
        sums = [Sum(min(width, size - start)) for _ in range(count)]
        for row, pack in enumerate(packs):
            part = min(width, pack.size - start)
            if part > 0:
                data = _read.take(part)
                pack.read_into(data, start)
                for number, total in enumerate(sums):
                    total.add(coefficient(number, row), data)
        return [total.value for total in sums]

    starts = range(0, size, width)
    with closing(ordered_map(compute, starts, workers=_AT_ONCE)) as columns:
        for start, column in zip(starts, columns, strict=True):
            progress(sum(max(0, min(width, pack.size - start)) for pack in packs))
            yield column


class Sum:
    """A weighted sum of rows, like that of `erasure`, three times as fast by numpy."""

    def __init__(self, size: int) -> None:
        self._total = np.zeros(size, np.uint8)

    def add(self, weight: int, row: memoryview) -> None:
        """Add a row, which may be shorter."""
        for start in range(0, len(row), _PIECE):
            piece: Buffer = row[start : start + _PIECE]
            if weight != 1:
                piece = bytes(piece).translate(products(weight))
            part = self._total[start : start + len(piece)]
            np.bitwise_xor(part, np.frombuffer(piece, np.uint8), out=part)

    @property
    def value(self) -> memoryview:
        """The sum."""
        return self._total.data


class _Writer:
    """A parity file while it is written, with the digests of what it has."""

    def __init__(self, name: str, sink: Sink) -> None:
        self.name = name
        self._sink = sink
        self._state = hashlib.sha256()
        self._block = hashlib.sha256()
        self._blocks: list[Digest] = []
        self._size = 0

    def write(self, data: memoryview) -> None:
        """Append bytes, none of them beyond the end of a block."""
        self._sink.write(data)
        self._state.update(data)
        self._block.update(data)
        self._size += len(data)
        if self._size % BLOCK == 0:
            self._end_block()

    def close(self) -> ParityFile:
        """Make the file durable; return what it is."""
        if self._size % BLOCK:
            self._end_block()
        self._sink.close()
        return ParityFile(self.name, self._size, tuple(self._blocks))

    @property
    def digest(self) -> Digest:
        """The digest of all that was written."""
        return from_hex(self._state.hexdigest())

    def _end_block(self) -> None:
        self._blocks.append(from_hex(self._block.hexdigest()))
        self._block = hashlib.sha256()
