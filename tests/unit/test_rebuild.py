"""Rebuilding from parity: what it reads, from which copies, and in many threads."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from making import flip
from protected import Protected, protect
from sealift_bundler.parity import Ratio
from sealift_manifests.errors import PayloadError
from sealift_manifests.media import Media, MediaFile
from sealift_manifests.parallel import ordered_map
from sealift_manifests.rebuild import Rebuilder

READ = MediaFile.read_into


@pytest.fixture
def made(tmp_path: Path) -> Protected:
    """Four packs of ten chunks in one group, with two parity files."""
    return protect(tmp_path, [[40] * 10] * 4, Ratio(2, 4))


def chunks_of(made: Protected, pack: int) -> list[int]:
    return [n for n, chunk in enumerate(made.index.chunks) if chunk.pack == pack]


def rebuilt(rebuilder: Rebuilder, made: Protected, number: int) -> bool:
    """Say whether a chunk was rebuilt; it never is another."""
    target = bytearray(made.index.chunks[number].stored_size)
    is_given = rebuilder.read_stored(number, memoryview(target))
    assert not is_given or bytes(target) == made.stored(number)
    return is_given


def test_a_lost_pack_costs_one_reading_of_as_much_of_its_group_as_is_needed(
    made, monkeypatch
):
    read: Counter[str] = Counter()

    def counted(file: MediaFile, target: memoryview, offset: int) -> None:
        read[Path(file.label).name] += len(target)
        READ(file, target, offset)

    monkeypatch.setattr(MediaFile, "read_into", counted)
    (made.folder / made.names[2]).unlink()

    with made.rebuilder() as rebuilder:
        assert all(rebuilt(rebuilder, made, n) for n in chunks_of(made, 2))

    needed = [made.names[n] for n in (0, 1, 3, 4)]
    assert read == dict.fromkeys(needed, 400)


def test_a_bad_copy_beside_a_good_one_is_passed_over(made, tmp_path):
    other = Path(shutil.copytree(made.folder, tmp_path / "other"))
    for place in (made.folder, other):
        (place / made.names[0]).unlink()
    for name in made.names[1:]:
        flip(made.folder / name, at=3)

    with made.rebuilder(made.folder, other) as rebuilder:
        assert all(rebuilt(rebuilder, made, n) for n in chunks_of(made, 0))


def test_many_threads_learn_of_damage_from_each_other(made):
    (made.folder / made.names[0]).unlink()
    for number in range(10):
        flip(made.folder / made.names[1], at=40 * number)

    with made.rebuilder() as rebuilder:
        wanted = chunks_of(made, 0) * 8
        found = ordered_map(lambda n: rebuilt(rebuilder, made, n), wanted, workers=8)

        assert all(found)
        assert rebuilder.rebuilt == set(chunks_of(made, 0))


def test_a_read_that_fails_once_ends_and_costs_one_parity_file(made, monkeypatch):
    failed: set[str] = set()

    def failing(file: MediaFile, target: memoryview, offset: int) -> None:
        if file.label.endswith(made.names[1]) and not failed:
            failed.add(file.label)
            raise PayloadError("Input/output error", hint="Take another medium.")
        READ(file, target, offset)

    monkeypatch.setattr(MediaFile, "read_into", failing)
    (made.folder / made.names[0]).unlink()

    with made.rebuilder() as rebuilder:
        assert rebuilt(rebuilder, made, 0)

    assert failed


def test_other_media_are_judged_anew_and_what_was_rebuilt_is_remembered(made, tmp_path):
    other = Path(shutil.copytree(made.folder, tmp_path / "other"))
    (made.folder / made.names[0]).unlink()
    for name in made.names[2:]:
        flip(made.folder / name, at=50)

    with made.rebuilder() as here:
        assert rebuilt(here, made, 0)
        assert not rebuilt(here, made, 1)
        with Media([str(other)]) as media:
            assert rebuilt(here.on(media), made, 1)

        assert here.rebuilt == {0, 1}


def test_what_is_lost_beside_a_chunk_is_named(made):
    for number in (0, 1, 5):
        (made.folder / made.names[number]).unlink()
    flip(made.folder / made.names[3], at=100)

    with made.rebuilder() as rebuilder:
        assert not rebuilder.holds(2)
        assert not rebuilt(rebuilder, made, 2)
        words = rebuilder.why_not([2])

    assert words == (
        "parity cannot rebuild it, since data-0002.pack, parity-0002.par of its group "
        "are missing or bad there as well"
    )
