"""Rebuild the stored bytes of chunks from the other packs of their group and parity.

Only the chunk's own range is read of each, so a lost pack that is asked for chunk after
chunk costs one reading of its group. Nothing that is read here is trusted: first it is
taken as it comes, and the digest of the chunk decides; when that fails, all that lies
in the range is measured, and what is bad counts as lost there.
"""

from __future__ import annotations

from bisect import bisect_right
from threading import BoundedSemaphore
from typing import (
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Set,
    Tuple,
)

from sealift_manifests.digests import digest_of
from sealift_manifests.erasure import Sum, weights
from sealift_manifests.errors import PayloadError
from sealift_manifests.index import Chunk, Index
from sealift_manifests.measured_units import is_good
from sealift_manifests.media import Media, MediaFile
from sealift_manifests.parallel import Scratch
from sealift_manifests.parity import Group, Parity, Unit

_AT_ONCE = 2
"""One rebuilds while another reads; more would only take memory from each other."""

_PIECE = 1 << 20
_read = Scratch()


class _Copy(NamedTuple):
    """A copy of the file at a position of the row of packs and parity files."""

    position: int
    file: MediaFile

    def key(self, unit: Unit) -> Tuple[str, int]:
        """Return what tells a range of this copy from all others."""
        return self.file.label, unit.start


class Rebuilder:
    """A spare that has no chunks of its own. `rebuilt` fills with those it could give.

    It may be asked from several threads.
    """

    def __init__(self, media: Media, index: Index, parity: Parity) -> None:
        self._media = media
        self._index = index
        self._parity = parity
        self._files = index.large_files
        self._first: Dict[int, int] = {}
        self._offsets: Dict[int, List[int]] = {}
        for number, chunk in enumerate(index.chunks):
            self._first.setdefault(chunk.pack, number)
            self._offsets.setdefault(chunk.pack, []).append(chunk.offset)
        self._turns = BoundedSemaphore(_AT_ONCE)
        self._measured: Set[Tuple[str, int]] = set()
        self._bad: Set[Tuple[str, int]] = set()
        self.rebuilt: Set[int] = set()

    def on(self, media: Media) -> Rebuilder:
        """Return one that reads from other media, and goes on with `rebuilt`."""
        other = Rebuilder(media, self._index, self._parity)
        other.rebuilt = self.rebuilt
        return other

    def holds(self, number: int) -> bool:
        """Say whether enough of the chunk's group is on the media to rebuild it."""
        chunk = self._index.chunks[number]
        return all(self._plan(chunk, *part) for part in self._parts(chunk))

    def why_not(self, numbers: Iterable[int]) -> str:
        """Say why these chunks cannot be rebuilt, after it was tried."""
        lost = sorted({name for number in numbers for name in self._lost(number)})
        if not lost:
            return "parity makes other bytes of it than were signed"
        return (
            f"parity cannot rebuild it, since {', '.join(lost)} of its group "
            f"{'is' if len(lost) == 1 else 'are'} missing or bad there as well"
        )

    def _lost(self, number: int) -> Tuple[str, ...]:
        """Return the files of a chunk's group that are missing or bad in its range."""
        chunk = self._index.chunks[number]
        _, end = _range(chunk)
        return tuple(
            self._files[position][0]
            for position in self._others(chunk)
            if not self._source(position, chunk.offset, end)
            and self._clipped(position, end) > chunk.offset
        )

    def read_stored(self, number: int, target: memoryview) -> bool:
        """Fill `target` with the stored bytes of a chunk; say whether it could."""
        chunk = self._index.chunks[number]
        with self._turns:
            known = -1
            while len(self._bad) > known and self.holds(number):
                known = len(self._bad)
                failed = self._fill(chunk, target)
                if not failed and digest_of(target) == chunk.stored_digest:
                    self.rebuilt.add(number)
                    return True
                self._measure(chunk, failed)
        return False

    def _group(self, chunk: Chunk) -> Group:
        packs = len(self._index.packs)
        return self._parity.group(chunk.pack % self._parity.groups, packs)

    def _others(self, chunk: Chunk) -> Iterator[int]:
        """Yield where the other members of a chunk's group stand in the row."""
        group = self._group(chunk)
        yield from (pack for pack in group.packs if pack != chunk.pack)
        yield from (len(self._index.packs) + number for number in group.files)

    def _fill(self, chunk: Chunk, target: memoryview) -> Optional[_Copy]:
        """Rebuild a chunk from what is not known to be bad; return what broke off."""
        for begin, end in self._parts(chunk):
            total = Sum(end - begin)
            plan = self._plan(chunk, begin, end)
            for copy, weight in plan or ():
                try:
                    self._add(total, weight, copy, begin, end)
                except PayloadError:
                    return copy
            at = begin - chunk.offset
            total.write_into(target[at : at + end - begin])
        return None

    def _add(self, total: Sum, weight: int, copy: _Copy, begin: int, end: int) -> None:
        for start in range(begin, self._clipped(copy.position, end), _PIECE):
            size = min(_PIECE, self._clipped(copy.position, end) - start)
            data = _read.take(size)
            copy.file.read_into(data, start)
            total.add(weight, data, start - begin)

    def _plan(
        self, chunk: Chunk, begin: int, end: int
    ) -> Optional[List[Tuple[_Copy, int]]]:
        """Return what to read, and what to multiply it by; None if too much is lost."""
        group = self._group(chunk)
        here = {p: self._source(p, begin, end) for p in self._others(chunk)}
        ends_before = {p for p in here if self._clipped(p, end) <= begin}
        lost = tuple(
            row
            for row, pack in enumerate(group.packs)
            if pack == chunk.pack or not (here[pack] or pack in ends_before)
        )
        first = len(self._index.packs)
        good = [n for n, file in enumerate(group.files) if here[first + file]]
        if len(good) < len(lost):
            return None
        wanted = group.packs.index(chunk.pack)
        chosen = tuple(good[: len(lost)])
        of_parity, of_data = weights(wanted, lost, chosen, len(group.packs))
        found = [(here[group.packs[row]], weight) for row, weight in of_data.items()]
        found += [
            (here[first + group.files[row]], weight)
            for row, weight in of_parity.items()
        ]
        return [(copy, weight) for copy, weight in found if copy]

    def _source(self, position: int, begin: int, end: int) -> Optional[_Copy]:
        """Return a copy of a file that is there and not known to be bad in a range."""
        for copy in self._copies(position):
            if copy.file.size >= self._clipped(position, end) > begin and not any(
                self._is_bad(copy, unit) for unit in self._units(position, begin, end)
            ):
                return copy
        return None

    def _copies(self, position: int) -> Iterator[_Copy]:
        files = self._media.copies(self._files[position][0])
        return (_Copy(position, file) for file in files)

    def _clipped(self, position: int, end: int) -> int:
        return min(end, self._files[position][1])

    def _units(self, position: int, begin: int, end: int) -> Iterator[Unit]:
        """Yield the ranges with a digest that a range of a file touches, in order."""
        packs = len(self._index.packs)
        end = self._clipped(position, end)
        if position >= packs:
            yield from self._parity.files[position - packs].units(begin, end)
            return
        number = self._first[position]
        number += bisect_right(self._offsets[position], begin) - 1
        while begin < end:
            # Chunks lie without gaps, in the order of their numbers.
            chunk = self._index.chunks[number]
            begin = chunk.offset + chunk.stored_size
            yield Unit(chunk.offset, begin, chunk.stored_digest)
            number += 1

    def _parts(self, chunk: Chunk) -> Iterable[Tuple[int, int]]:
        """Return a chunk's range, cut where it changes what of its group is bad."""
        begin, end = _range(chunk)
        edges = {begin, end}
        for position in self._others(chunk):
            for copy in self._copies(position):
                for unit in self._units(position, begin, end):
                    if self._is_bad(copy, unit):
                        edges.update((unit.start, unit.end))
        inside = sorted(edge for edge in edges if begin <= edge <= end)
        return zip(inside, inside[1:])

    def _is_bad(self, copy: _Copy, unit: Unit) -> bool:
        return copy.key(unit) in self._bad

    def _measure(self, chunk: Chunk, failed: Optional[_Copy]) -> None:
        """Measure what lies beside a chunk, each unit once, and keep what is bad.

        `failed`: a copy that could not be read, and counts as bad if nothing else does.
        """
        begin, end = _range(chunk)
        before = len(self._bad)
        for position in self._others(chunk):
            for copy in self._copies(position):
                for unit in self._units(position, begin, end):
                    key = copy.key(unit)
                    if key not in self._measured and not is_good(copy.file, unit):
                        self._bad.add(key)
                    self._measured.add(key)
        if failed and len(self._bad) == before:
            for unit in self._units(failed.position, begin, end):
                self._bad.add(failed.key(unit))


def _range(chunk: Chunk) -> Tuple[int, int]:
    return chunk.offset, chunk.offset + chunk.stored_size
