"""Each copy on each medium is judged by itself, and the whole by all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from making import Key, build, copied, flip, noise, weights_spec
from sealift_manifests.bundle import open_bundle
from sealift_manifests.errors import DigestMismatchError, PayloadError
from sealift_manifests.media import Media, MediaFile
from sealift_manifests.trust import Trust
from sealift_manifests.verification import Verification
from sealift_manifests.verify import bytes_to_measure, measure

MIB = 1 << 20
PACKS = ["data-0001.pack", "data-0002.pack"]
FILES = {f"w{n:02}.dat": noise(f"verification {n}", MIB) for n in range(10)}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    root = tmp_path_factory.mktemp("verification")
    spec = weights_spec(root, "b", FILES)
    return build(spec, key, root / "out", "--part-size", "8MiB")


@pytest.fixture
def one(tmp_path: Path, good: Path) -> Path:
    return copied(good, tmp_path / "one")


@pytest.fixture
def two(tmp_path: Path, good: Path) -> Path:
    return copied(good, tmp_path / "two")


@pytest.fixture
def measured(key: Key):
    """Measure a bundle at these places."""
    trust = Trust.from_key_file(key.public.read_text(), "release.pub")

    def measured(*places: Path) -> Verification:
        with Media(map(str, places)) as media:
            bundle = open_bundle(media, trust, datetime.now(UTC))
            told: list[int] = []
            found = measure(bundle, told.append)
            assert sum(told) == bytes_to_measure(bundle)
            return found

    return measured


def kinds(found: Verification) -> list[tuple[str, str, tuple[tuple[int, int], ...]]]:
    return [(one.name, one.kind, one.ranges) for one in found.damages]


def test_good_media_are_good_each_by_itself(measured, one, two):
    found = measured(one, two)

    assert found.verdict == "good"
    assert [medium.packs for medium in found.media] == [(0, 1), (0, 1)]
    assert found.damages == found.lacks == ()
    assert found.warnings() == []


def test_every_copy_is_measured_and_the_bad_ones_are_told_apart(measured, one, two):
    flip(one / PACKS[0], at=3 * MIB)
    flip(two / PACKS[1], at=0)
    flip(two / "INSTALL.md")

    found = measured(one, two)

    assert found.lacks == ()
    first, second = found.media
    assert (first.packs, second.packs) == ((1,), (0,))
    assert [d.place for d in first.damages] == [str(one / PACKS[0])]
    assert {d.name for d in second.damages} == {"INSTALL.md", PACKS[1]}
    assert found.bad_places == (str(one), str(two))
    found.require()
    assert "good, all copies" in found.verdict
    assert str(two) in found.warnings()[0]


def test_damage_has_its_ranges_and_the_files_it_hits(measured, one):
    for at in (0, MIB, 5 * MIB + 7):
        flip(one / PACKS[0], at=at)

    (damage,) = measured(one).damages

    assert damage.ranges == ((0, 2 * MIB), (5 * MIB, 6 * MIB))
    assert damage.hits == tuple(f"model tiny: w{n:02}.dat" for n in (0, 1, 5))


def test_copies_that_are_bad_at_the_same_place_do_not_make_a_whole(measured, one, two):
    flip(one / PACKS[0], at=4 * MIB)
    flip(two / PACKS[0], at=4 * MIB + 9)

    (lack,) = measured(one, two).lacks

    assert (lack.name, lack.ranges) == (PACKS[0], ((4 * MIB, 5 * MIB),))


def test_a_pack_cut_short_is_judged_up_to_there(measured, one, two):
    os.truncate(one / PACKS[0], 5 * MIB + 1)
    (two / PACKS[1]).unlink()
    flip(two / PACKS[0], at=0)

    found = measured(one, two)

    assert kinds(found)[0] == (PACKS[0], "wrong-size", ((5 * MIB + 1, 8 * MIB),))
    assert found.lacks == ()


def test_a_byte_too_many_is_not_what_was_signed(measured, one, two):
    with (one / PACKS[1]).open("ab") as pack:
        pack.write(b"\0")

    assert kinds(measured(one)) == [(PACKS[1], "wrong-size", ((2 * MIB, 2 * MIB + 1),))]
    with pytest.raises(DigestMismatchError):
        measured(one).require()
    measured(one, two).require()


def test_swapped_packs_are_told_as_what_they_are(measured, one):
    (one / PACKS[0]).rename(one / "kept")
    (one / PACKS[1]).rename(one / PACKS[0])
    (one / "kept").rename(one / PACKS[1])

    assert [str(damage) for damage in measured(one).damages] == [
        f"{one}/{PACKS[0]}: holds the bytes of {PACKS[1]}",
        f"{one}/{PACKS[1]}: holds the bytes of {PACKS[0]}",
    ]


@pytest.mark.parametrize(
    "name", ["SHA256SUMS", "SHA256SUMS.release.sig", "manifest.json", "index.json"]
)
def test_what_settles_the_rest_is_measured_on_every_medium(measured, one, two, name):
    flip(two / name)

    found = measured(one, two)

    assert [(d.name, d.place) for d in found.damages] == [(name, str(two / name))]
    assert found.lacks == ()


def test_one_medium_of_several_is_enough_when_the_rest_may_be_missing(measured, one):
    (one / PACKS[1]).unlink()
    (one / "weights-tiny.sha256").unlink()

    found = measured(one)

    assert found.absent == ("weights-tiny.sha256", PACKS[1])
    found.require(ignore_missing=True)
    with pytest.raises(PayloadError, match=PACKS[1]):
        found.require()
    flip(one / PACKS[0])
    with pytest.raises(DigestMismatchError):
        measured(one).require(ignore_missing=True)


@contextmanager
def failing(
    monkeypatch: pytest.MonkeyPatch, name: str, start: int, end: int
) -> Iterator[None]:
    """Let reads of a file fail where they touch these bytes, as a worn stick does."""
    whole = MediaFile.read_into

    def read_into(self: MediaFile, target: memoryview, offset: int) -> None:
        if self.label.endswith(name) and offset < end and offset + len(target) > start:
            raise PayloadError(f"{self.label} cannot be read: EIO", hint="Replace it.")
        whole(self, target, offset)

    with monkeypatch.context() as patch:
        patch.setattr(MediaFile, "read_into", read_into)
        yield


def test_read_errors_are_ranges_and_the_rest_is_still_judged(
    measured, one, monkeypatch
):
    flip(one / PACKS[0], at=7 * MIB)

    with failing(monkeypatch, PACKS[0], 2 * MIB + 5, 4 * MIB):
        found = measured(one)

    assert sorted(kinds(found)) == [
        (PACKS[0], "changed", ((7 * MIB, 8 * MIB),)),
        (PACKS[0], "unreadable", ((2 * MIB, 4 * MIB),)),
    ]
    with pytest.raises(DigestMismatchError):
        found.require()


def test_what_only_cannot_be_read_has_an_exit_code_of_its_own(
    measured, one, monkeypatch
):
    with failing(monkeypatch, "INSTALL.md", 0, 1):
        found = measured(one)

    assert [damage.kind for damage in found.damages] == ["unreadable"]
    with pytest.raises(PayloadError):
        found.require()


def test_a_file_that_cannot_even_be_opened_does_not_hide_the_others(
    measured, one, two, monkeypatch
):
    whole = os.open

    def failing_open(path: str, *args: int, **names: int) -> int:
        if path == str(one / PACKS[0]):
            raise OSError(5, "Input/output error")
        return whole(path, *args, **names)

    monkeypatch.setattr(os, "open", failing_open)
    alone, both = measured(one), measured(one, two)

    assert [(d.name, d.kind) for d in alone.damages] == [(PACKS[0], "unreadable")]
    assert alone.media[0].packs == (1,)
    assert both.lacks == ()
