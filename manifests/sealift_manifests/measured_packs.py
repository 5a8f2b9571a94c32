"""Measure the packs on media chunk by chunk, each copy by itself."""

from __future__ import annotations

import hashlib
from itertools import accumulate
from typing import (
    AbstractSet,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
)

from sealift_manifests.bundle import Bundle, users_of
from sealift_manifests.digests import Digest, digest_of, from_hex
from sealift_manifests.errors import PayloadError
from sealift_manifests.index import Index
from sealift_manifests.media import MediaFile
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.verification import Damage, Lack, Ranges

Progress = Callable[[int], None]
"""Called with the number of bytes that were just dealt with."""

_BLOCK = 1 << 20

_CHANGED, _UNREADABLE, _CUT = "changed", "unreadable", "wrong-size"
_DETAILS = {_CHANGED: "is not what was signed", _UNREADABLE: "cannot be read"}

_scratch = Scratch()


class _Copy(NamedTuple):
    """A pack as it lies on one medium, and the kind of fault of each bad chunk."""

    file: MediaFile
    pack: int
    faults: Dict[int, str]


_Job = Tuple[_Copy, int]
"""A chunk, by its number, in one copy of its pack."""


class MeasuredPacks:
    """The copies of all packs, measured: medium by medium, each in its order.

    Chunks that are `known` to be good, by their numbers, are not read.
    """

    def __init__(
        self,
        bundle: Bundle,
        progress: Progress,
        known: AbstractSet[int] = frozenset(),
    ) -> None:
        self._bundle = bundle
        self._chunks = chunks_of_packs(bundle.index)
        self._users: Dict[int, Tuple[str, ...]] = {}
        self._copies = [
            _Copy(file, number, {})
            for place in dict.fromkeys(bundle.media.places)
            for number, pack in enumerate(bundle.index.packs)
            for file in bundle.media.copies(pack.name)
            if file.place == place
        ]
        jobs = [
            (copy, number)
            for copy in self._copies
            for number in self._chunks[copy.pack]
            if number not in known
        ]
        faults = ordered_map(self._fault, map(self._expect, jobs))
        for (copy, number), fault in zip(jobs, faults):
            progress(bundle.index.chunks[number].stored_size)
            if fault:
                copy.faults[number] = fault

    def _expect(self, job: _Job) -> _Job:
        copy, number = job
        chunk = self._bundle.index.chunks[number]
        copy.file.expect(chunk.offset, chunk.stored_size)
        return job

    def _fault(self, job: _Job) -> str:
        copy, number = job
        chunk = self._bundle.index.chunks[number]
        end = chunk.offset + chunk.stored_size
        if end > copy.file.size and not copy.file.is_failing:
            return _CUT
        stored = _scratch.take(chunk.stored_size)
        try:
            copy.file.read_into(stored, chunk.offset)
        except PayloadError:
            return _UNREADABLE
        return "" if digest_of(stored) == chunk.stored_digest else _CHANGED

    def good_on(self, place: str) -> Tuple[int, ...]:
        """Return the packs of which this medium has a good copy."""
        here = (copy for copy in self._copies if copy.file.place == place)
        return tuple(copy.pack for copy in here if self._is_good(copy))

    def damages_on(self, place: str) -> Tuple[Damage, ...]:
        """Return what is wrong with the packs on this medium."""
        return tuple(
            damage
            for copy in self._copies
            if copy.file.place == place and not self._is_good(copy)
            for damage in self._damages(copy)
        )

    def lacks(self) -> Tuple[Tuple[Lack, ...], Tuple[Tuple[str, int], ...]]:
        """Return the packs that no media together have whole, and what spares gave.

        That is how many chunks they gave of which packs.
        """
        lacks: List[Lack] = []
        mended: List[Tuple[str, int]] = []
        by_pack: List[List[_Copy]] = [[] for _ in self._chunks]
        for copy in self._copies:
            by_pack[copy.pack].append(copy)
        for pack, copies in enumerate(by_pack):
            missing = set(self._chunks[pack]).intersection(*(c.faults for c in copies))
            given = set(_given_by_spares(self._bundle, sorted(missing)))
            if given:
                mended.append((self._bundle.index.packs[pack].name, len(given)))
            lost = sorted(missing - given)
            too_long = copies and all(map(self._is_too_long, copies))
            if lost or too_long:
                lacks.append(self._lack(pack, lost, copies))
        return tuple(lacks), tuple(mended)

    def _is_good(self, copy: _Copy) -> bool:
        size = self._bundle.index.packs[copy.pack].size
        return not copy.faults and copy.file.size == size

    def _is_too_long(self, copy: _Copy) -> bool:
        return copy.file.size > self._bundle.index.packs[copy.pack].size

    def _lack(self, pack: int, lost: List[int], copies: List[_Copy]) -> Lack:
        kinds = {kind for copy in copies for kind in copy.faults.values()}
        changed = kinds - {_UNREADABLE} or any(map(self._is_too_long, copies))
        return Lack(
            self._bundle.index.packs[pack].name,
            _join(self._bundle.index, lost) if copies else (),
            self._hits(lost),
            is_here=bool(copies),
            is_changed=bool(changed),
            why=self._why_not(lost),
        )

    def _why_not(self, lost: List[int]) -> str:
        """Say why parity does not give these chunks, if there is any."""
        rebuilder = self._bundle.rebuilder
        return rebuilder.why_not(lost) if rebuilder and lost else ""

    def _damages(self, copy: _Copy) -> Iterator[Damage]:
        bundle, file = self._bundle, copy.file
        name = bundle.index.packs[copy.pack].name
        twin = _twin(bundle, copy, self._chunks)
        if twin:
            yield Damage(name, file.label, "swapped", f"holds the bytes of {twin}")
            return
        by_kind: Dict[str, List[int]] = {}
        for number, kind in copy.faults.items():
            by_kind.setdefault(kind, []).append(number)
        cut = by_kind.pop(_CUT, [])
        if not file.is_failing and file.size != bundle.index.packs[copy.pack].size:
            yield wrong_size(bundle, copy.pack, file, self._hits(cut))
        for kind, numbers in by_kind.items():
            ranges = _join(bundle.index, numbers)
            hits = self._hits(numbers)
            yield Damage(name, file.label, kind, _DETAILS[kind], ranges, hits)

    def _hits(self, numbers: Iterable[int]) -> Tuple[str, ...]:
        if not self._users:
            self._users = users_of(self._bundle.manifest, self._bundle.index)
        hits = {user for number in numbers for user in self._users.get(number, ())}
        return tuple(sorted(hits))


def chunks_of_packs(index: Index) -> List[range]:
    """Return the numbers of the chunks of each pack: they lie in order."""
    counts = [0] * len(index.packs)
    for chunk in index.chunks:
        if not chunk.is_base:
            counts[chunk.pack] += 1
    ends = accumulate(counts)
    return [range(end - count, end) for end, count in zip(ends, counts)]


def _given_by_spares(bundle: Bundle, numbers: List[int]) -> Iterator[int]:
    """Yield those of the chunks that a spare gives as they were signed."""

    def is_given(number: int) -> bool:
        size = bundle.index.chunks[number].stored_size
        return bundle.read_spare(number, _scratch.take(size))

    if bundle.spares:
        for number, given in zip(numbers, ordered_map(is_given, numbers)):
            if given:
                yield number


def wrong_size(
    bundle: Bundle, pack: int, file: MediaFile, hits: Tuple[str, ...]
) -> Damage:
    """Return the damage of a copy of a pack that has not the size it should have."""
    name, size = bundle.index.packs[pack]
    if file.is_failing:
        return Damage(name, file.label, _UNREADABLE, "cannot be opened", (), hits)
    detail = f"has {file.size} bytes where {size} were signed"
    ends = sorted((file.size, size))
    return Damage(name, file.label, _CUT, detail, ((ends[0], ends[1]),), hits)


def _twin(bundle: Bundle, copy: _Copy, chunks: List[range]) -> str:
    """Return the name of the pack whose bytes these really are, if any.

    One that begins like another pack is read once more to be sure.
    """
    if copy.faults.get(chunks[copy.pack][0]) not in (_CHANGED, _CUT):
        return ""
    for other, pack in enumerate(bundle.index.packs):
        first = bundle.index.chunks[chunks[other][0]]
        if pack.size == copy.file.size and other != copy.pack:
            begin = _digest_of_file(copy.file, first.stored_size)
            if begin == first.stored_digest:
                whole = _digest_of_file(copy.file, pack.size)
                return pack.name if whole == bundle.sums[pack.name] else ""
    return ""


def _digest_of_file(file: MediaFile, size: int) -> Optional[Digest]:
    state = hashlib.sha256()
    try:
        for offset in range(0, size, _BLOCK):
            state.update(file.read_at(offset, min(_BLOCK, size - offset)))
    except PayloadError:
        return None
    return from_hex(state.hexdigest())


def _join(index: Index, numbers: Iterable[int]) -> Ranges:
    """Return where these chunks of one pack lie, as few ranges as possible."""
    chunks = (index.chunks[number] for number in numbers)
    return joined((c.offset, c.offset + c.stored_size) for c in chunks)


def joined(parts: Iterable[Tuple[int, int]]) -> Ranges:
    """Return rising ranges as few of them as possible."""
    ranges: List[Tuple[int, int]] = []
    for start, end in parts:
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
    return tuple(ranges)
