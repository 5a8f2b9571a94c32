"""Laws of parity: what may be lost comes back, and nothing else is given."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from making import flip
from protected import Protected, protect, small_blocks
from sealift_bundler.parity import Ratio, Sum
from sealift_manifests import erasure
from sealift_manifests.erasure import MAX_ROWS, coefficient, weights
from sealift_manifests.errors import PayloadError
from sealift_manifests.media import MediaFile
from sealift_manifests.parity import group_of

counts = st.integers(1, 6)


@st.composite
def codes(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Return data rows and their parity rows."""
    data = draw(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=6))
    return data, [parity_of(data, number) for number in range(draw(counts))]


def parity_of(data: Sequence[bytes], number: int) -> bytes:
    """Return a parity row as the build makes it."""
    total = Sum(9)
    for row, each in enumerate(data):
        total.add(coefficient(number, row), memoryview(each))
    return bytes(total.value)


def sum_of(weighted: Iterable[tuple[int, bytes]]) -> bytes:
    """Return a sum of rows as a host computes it."""
    total, value = erasure.Sum(9), bytearray(9)
    for weight, row in weighted:
        total.add(weight, row)
    total.write_into(memoryview(value))
    return bytes(value)


@given(codes(), st.data())
def test_as_many_rows_as_there_is_parity_come_back_from_any_of_it(code, draw):
    data, parity = code
    most = min(len(data), len(parity))
    order = draw.draw(st.permutations(range(len(data))))
    lost = tuple(sorted(order[: draw.draw(st.integers(1, most))]))
    rows = tuple(draw.draw(st.permutations(range(len(parity))))[: len(lost)])

    for wanted in lost:
        of_parity, of_data = weights(wanted, lost, rows, len(data))
        rows_of_parity = [(weight, parity[row]) for row, weight in of_parity.items()]
        rows_of_data = [(weight, data[row]) for row, weight in of_data.items()]
        found = sum_of([*rows_of_parity, *rows_of_data])

        assert found == data[wanted].ljust(9, b"\0")


@given(st.data())
def test_the_largest_groups_come_back_too(draw):
    depth = draw.draw(st.integers(1, 4))
    count = MAX_ROWS - depth
    lost = tuple(
        sorted(
            draw.draw(
                st.sets(st.integers(0, count - 1), min_size=depth, max_size=depth)
            )
        )
    )
    data = [bytes([row, row ^ 0x5A]) for row in range(count)]

    of_parity, of_data = weights(lost[0], lost, tuple(range(depth)), count)
    parity = [(weight, parity_of(data, row)) for row, weight in of_parity.items()]
    found = sum_of([*parity, *((weight, data[row]) for row, weight in of_data.items())])

    assert found == data[lost[0]].ljust(9, b"\0")


@given(st.integers(1, 40), counts, counts, st.data())
def test_neighbours_that_are_lost_together_are_spread_over_the_groups(
    packs, files, members, draw
):
    groups = Ratio(files, members).groups(packs)
    row = packs + files * groups
    first = draw.draw(st.integers(0, row - 1))
    lost = set(range(first, min(row, first + files * groups)))

    everything = []
    for number in range(groups):
        group = group_of(number, packs, groups, files)
        places = {*group.packs, *(packs + file for file in group.files)}
        everything += places
        assert len(group.packs) <= members and len(group.files) == files
        assert len(places & lost) <= files

    assert sorted(everything) == list(range(row))


KINDS = ["none", "none", "gone", "flipped", "cut", "unreadable"]
chunks = st.lists(st.integers(1, 20), min_size=1, max_size=4)


@dataclass
class Harm:
    """The offsets at which a file is bad, and those that cannot be told from these."""

    wrong: set[int] = field(default_factory=set)
    suspect: set[int] = field(default_factory=set)
    unreadable: int | None = None


@st.composite
def damaged(draw: st.DrawFn, folder: Path) -> tuple[Protected, dict[str, Harm]]:
    """Return packs with parity, and the harm that each file has come to."""
    packs = draw(st.lists(chunks, min_size=1, max_size=5))
    ratio = Ratio(draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    made = protect(folder, packs, ratio)
    harms = {}
    for name, size in made.index.large_files:
        kind = draw(st.sampled_from(KINDS))
        at = draw(st.integers(0, size - 1))
        harms[name] = _harmed(made, made.folder / name, kind, at)
    return made, harms


def _harmed(made: Protected, path: Path, kind: str, at: int) -> Harm:
    size = path.stat().st_size
    if kind == "gone":
        path.unlink()
        return Harm(set(range(size)), set(range(size)))
    if kind == "cut":
        os.truncate(path, at)
        wrong = set(range(at, size))
    elif kind == "flipped":
        flip(path, at)
        wrong = {at}
    elif kind == "unreadable":
        wrong = {at}
    else:
        return Harm()
    units = [set(range(unit.start, unit.end)) for unit in made.units(path.name)]
    suspect = set().union(*(unit for unit in units if unit & wrong))
    return Harm(wrong, suspect, at if kind == "unreadable" else None)


@contextmanager
def failing_medium(harms: dict[str, Harm]) -> Iterator[None]:
    """Make reads fail that touch a byte which cannot be read."""
    read_into = MediaFile.read_into

    def read(file: MediaFile, target: memoryview, offset: int) -> None:
        at = harms[Path(file.label).name].unreadable
        if at is not None and offset <= at < offset + len(target):
            raise PayloadError("Input/output error", hint="Take another medium.")
        read_into(file, target, offset)

    with mock.patch.object(MediaFile, "read_into", read):
        yield


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_chunk_is_rebuilt_where_enough_of_its_group_is_good_and_only_there(draw):
    with small_blocks(), tempfile.TemporaryDirectory() as folder:
        made, harms = draw.draw(damaged(Path(folder)))
        wrong = {name: harm.wrong for name, harm in harms.items()}
        suspect = {name: harm.suspect for name, harm in harms.items()}
        with made.rebuilder() as rebuilder, failing_medium(harms):
            for number, chunk in enumerate(made.index.chunks):
                target = bytearray(chunk.stored_size)
                is_rebuilt = rebuilder.read_stored(number, memoryview(target))

                assert is_rebuilt or not _is_bearable(made, suspect, number)
                assert not is_rebuilt or _is_bearable(made, wrong, number)
                assert not is_rebuilt or bytes(target) == made.stored(number)


def _is_bearable(made: Protected, bad: dict[str, set[int]], number: int) -> bool:
    """Say whether at each offset enough of a chunk's group is good besides its pack."""
    chunk, packs = made.index.chunks[number], len(made.index.packs)
    group = made.parity.group(chunk.pack % made.parity.groups, packs)
    others = [made.names[pack] for pack in group.packs if pack != chunk.pack]
    parity = [made.names[packs + file] for file in group.files]
    return all(
        1 + sum(at in bad[name] for name in others)
        <= sum(at not in bad[name] for name in parity)
        for at in range(chunk.offset, chunk.offset + chunk.stored_size)
    )
