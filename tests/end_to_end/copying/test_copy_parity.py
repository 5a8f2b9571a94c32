"""Parity files are copied like packs: spread in order, hashed, read back.

The bundle has three packs in two groups, with a parity file each. In the row packs 1
and 3 and parity file 2 are one group, pack 2 and parity file 1 the other.
"""

from __future__ import annotations

from pathlib import Path

import making
import pytest
from desk import NAME, PACKS, ROOM_FOR_ONE, Desk
from making import Key, copied, flip, sealift

PARITY = ["parity-0001.par", "parity-0002.par"]
ROOM_FOR_ALL = "46m"
ROOM_FOR_ONE_AND_A_HALF = "15m"


@pytest.fixture(scope="module")
def bundle(spec: Path, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parity")
    made = making.build(spec, key, out, "--part-size", "8MiB", "--parity", "1/2")
    assert large_in(made) == [*PACKS, *PARITY]
    return made


def large_in(folder: Path) -> list[str]:
    """Return the packs and parity files of a folder, in order."""
    files = [*folder.glob("*.pack"), *folder.glob("*.par")]
    return sorted(path.name for path in files)


def is_copied(stick: Path, bundle: Path) -> bool:
    """Say whether a stick holds the whole bundle, and nothing else."""
    whole, found = making.listing(bundle), making.listing(stick / NAME)
    return {n: w.split()[-1] for n, w in whole.items()} == {
        n: w.split()[-1] for n, w in found.items()
    }


def test_any_stick_may_be_lost_since_the_row_is_laid_in_order(
    desk: Desk, slots, tmp_path
):
    rooms = [ROOM_FOR_ONE_AND_A_HALF, ROOM_FOR_ONE] * 2
    places = [slots.memory(str(n), room) for n, room in enumerate(rooms)]
    labels = tmp_path / "labels"

    planned = desk.copy(*places, more=("--dry-run", "--json")).expect(0)
    copied_ = desk.copy(*places, more=("--labels", labels))

    copied_.expect(0, "3 packs and 2 parity files on 4 sticks")
    expected = [PACKS[:1], PACKS[1:2], [PACKS[2], PARITY[0]], PARITY[1:]]
    assert [large_in(place / NAME) for place in places] == expected
    told = planned.facts["media"]["media"]
    assert [each["packs"] + each["parity"] for each in told] == expected
    assert "pack 3 of 3, parity file 1 of 2, 12.0 MiB" in labels.read_text()
    for lost in places:
        left = [place for place in places if place != lost]
        sealift("verify", *left, "--key", desk.key.public).expect(0, "good")


def test_a_bad_parity_file_on_a_stick_is_written_anew_and_a_half_one_continued(
    desk: Desk, slots
):
    stick = slots.memory("a", ROOM_FOR_ALL)
    desk.copy(stick).expect(0)
    flip(stick / NAME / PARITY[0])
    half = (stick / NAME / PARITY[1]).rename(stick / NAME / f".{PARITY[1]}.partial")
    with half.open("r+b") as file:
        file.truncate(5 << 20)

    again = desk.copy(stick)

    again.expect(0, "packs 1-3 there already", "parity files 1-2, ")
    assert is_copied(stick, desk.bundle)


def test_what_is_bad_in_a_pack_of_the_source_is_rebuilt_from_parity(
    desk: Desk, slots, tmp_path
):
    good, desk.bundle = desk.bundle, copied(desk.bundle, tmp_path / "bad")
    flip(desk.bundle / PACKS[1])
    (desk.bundle / PACKS[2]).unlink()
    stick = slots.memory("a", ROOM_FOR_ALL)

    outcome = desk.copy(stick)

    outcome.expect(0, f"warning: bad in the source: {desk.bundle}/{PACKS[1]}")
    outcome.expect(0, f"{PACKS[2]}, rebuilt from parity")
    assert is_copied(stick, good)


def test_what_is_bad_in_one_copy_of_the_source_is_read_from_another(
    desk: Desk, slots, tmp_path
):
    bad = copied(desk.bundle, tmp_path / "bad")
    for name in (PACKS[0], *PARITY):
        flip(bad / name)
    stick = slots.memory("a", ROOM_FOR_ALL)

    words = [bad, desk.bundle, "--key", desk.key.public, "--to", stick]
    sealift("copy", *words, env=desk.env).expect(0, f"{bad}/{PACKS[0]}")

    assert is_copied(stick, desk.bundle)


def test_a_parity_file_that_is_bad_or_missing_in_the_source_is_named(
    desk: Desk, slots, tmp_path
):
    desk.bundle = copied(desk.bundle, tmp_path / "bad")
    flip(desk.bundle / PARITY[1], at=7 << 20)
    stick, other = slots.memory("a", ROOM_FOR_ALL), slots.memory("b", ROOM_FOR_ALL)

    changed = desk.copy(stick)
    (desk.bundle / PARITY[1]).unlink()
    missing = desk.copy(other)

    changed.expect(12, f"{desk.bundle}/{PARITY[1]}: bytes 0 to ", "The source is")
    assert large_in(stick / NAME) == [*PACKS, PARITY[0]]
    missing.expect(15, f"{PARITY[1]} is missing")
    assert list(other.iterdir()) == []
