"""What goes onto which medium, before anything is written or even downloaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealift_bundler.commands.options import parse_media
from sealift_bundler.draft import Draft, Item
from sealift_bundler.media_plan import (
    LargeFile,
    Medium,
    count_needed,
    holds,
    lay_out,
    ranges,
)
from sealift_bundler.media_sizes import expected_packs, usual_discs, with_parity
from sealift_bundler.media_text import MediaShortError, usual_lines
from sealift_bundler.parity import Ratio
from sealift_bundler.spread import Spread
from sealift_manifests.errors import UsageError
from sealift_manifests.preflight.needs import Needs

GB = 10**9
GIB = 1 << 30
PACK = 2**32 - 1


def packs(*sizes: int) -> list[LargeFile]:
    return [LargeFile(f"data-{n:04}.pack", size) for n, size in enumerate(sizes, 1)]


def names(load) -> str:
    return ranges(load.files)


def test_packs_are_placed_in_order_and_a_small_one_fills_a_gap():
    media = [Medium("a", 10), Medium("b", 4)]

    layout = lay_out(packs(4, 4, 4, 2), media)

    assert [names(load) for load in layout.loads] == ["packs 1-2, 4", "pack 3"]
    assert layout.left == ()


def test_what_finds_no_room_is_told_with_its_size():
    layout = lay_out(packs(4, 4, 4), [Medium("a", 7)])

    assert ranges(layout.left) == "packs 2-3"
    assert layout.short == 8


def test_files_take_whole_clusters():
    two = packs(5, 5)

    assert lay_out(two, [Medium("a", 10, unit=1)]).left == ()
    assert ranges(lay_out(two, [Medium("a", 10, unit=4)]).left) == "pack 2"


def a_row(*sizes: int) -> list[LargeFile]:
    """Packs of a bundle with parity, and one parity file."""
    row = [replace(pack, in_row=True) for pack in packs(*sizes[:-1])]
    return [*row, LargeFile("parity-0001.par", sizes[-1], in_row=True)]


def test_with_parity_no_gap_is_filled_so_that_a_medium_holds_neighbours():
    row = a_row(4, 4, 4, 2, 4)

    layout = lay_out(row, [Medium("a", 10), Medium("b", 8), Medium("c", 2)])

    assert [names(load) for load in layout.loads] == [
        "packs 1-2",
        "packs 3-4",
        "no packs",
    ]
    assert ranges(layout.left) == "parity file 1"
    assert count_needed(row, Medium("m", 10)) == 2
    assert count_needed(row, Medium("m", 9)) == 3
    assert count_needed(packs(7, 7, 2, 2), Medium("m", 9)) == 2
    assert count_needed(a_row(7, 7, 2, 2), Medium("m", 9)) == 3


def test_with_parity_what_is_left_is_the_end_of_the_row():
    layout = lay_out(a_row(4, 9, 4, 4), [Medium("a", 8), Medium("b", 8)])

    assert ranges(layout.left) == "packs 2-3 and parity file 1"


def test_a_file_that_fat32_cannot_hold_goes_elsewhere():
    fat32, exfat = Medium("fat32", 64 * GIB, largest=PACK), Medium("exfat", 64 * GIB)

    layout = lay_out(packs(PACK, PACK + 1), [fat32, exfat])

    assert [names(load) for load in layout.loads] == ["pack 1", "pack 2"]
    assert ranges(lay_out(packs(PACK + 1), [fat32]).left) == "pack 1"
    assert "FAT32 takes no pack" in usual_lines(packs(PACK + 1), 0)[-1]


@given(
    st.lists(st.integers(1, 99), max_size=30),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 9)), min_size=1, max_size=5),
)
def test_every_pack_is_placed_once_where_it_fits_or_told_to_be_left(sizes, media):
    wanted = packs(*sizes)

    layout = lay_out(wanted, [Medium(str(n), *m) for n, m in enumerate(media)])

    placed = [pack for load in layout.loads for pack in load.files]
    assert sorted([*placed, *layout.left], key=lambda p: p.name) == wanted
    for load in layout.loads:
        used = sum(load.medium.takes(pack.size) for pack in load.files)
        assert used <= load.medium.room
        assert all(
            load.medium.takes(pack.size) > load.medium.room - used
            for pack in layout.left
        )


@given(st.lists(st.integers(1, 40), max_size=40), st.integers(40, 99))
def test_as_many_media_as_are_counted_do_hold_the_packs(sizes, room):
    wanted, medium = packs(*sizes), Medium("m", room)

    count = count_needed(wanted, medium)

    assert count
    assert lay_out(wanted, [medium] * count).left == ()
    assert count == 1 or lay_out(wanted, [medium] * (count - 1)).left


def test_a_medium_that_takes_no_pack_is_not_counted():
    assert count_needed(packs(5), Medium("m", 4)) is None
    assert count_needed([], Medium("m", 4)) == 1


def test_discs_are_counted_as_they_are_sold():
    bundle = expected_packs([("model chat", 100 * GB)], PACK)

    # 23 packs and a small one: a DVD of either kind takes one, a Blu-ray 5 or 11.
    expected = {"4.7 GB DVD": 24, "8.5 GB DVD": 23, "25 GB Blu-ray": 5}
    assert usual_discs(bundle, 0) == {**expected, "50 GB Blu-ray": 3}


@pytest.mark.parametrize("size", [0, 5 << 20, 100 << 20, 1000 << 20])
def test_expected_parity_takes_what_the_plan_says_it_may(size):
    ratio, part = Ratio.parse("2/5"), 16 << 20

    found = with_parity(expected_packs([("model a", size)], part), ratio, part)

    parity = [file.size for file in found if file.is_parity]
    assert sum(parity) == ratio.bound(size, part)
    assert all(file.in_row for file in found)
    assert sum(file.size for file in found if not file.is_parity) == size


def test_expected_packs_say_what_they_hold():
    found = expected_packs([("model a", 9 << 20), ("image b", 12 << 20)], 17 << 20)

    assert [pack.size >> 20 for pack in found] == [16, 5]
    assert [pack.holds for pack in found] == [("model a", "image b"), ("image b",)]
    assert holds(found) == ("model a", "image b")
    assert [pack.name for pack in found] == ["data-0001.pack", "data-0002.pack"]


def spread(
    *media: int,
    likely: int = 30 * GB,
    image: int | None = 10 * GB,
    parity: Ratio | None = None,
) -> Spread:
    model = Item("model", "chat", 50 * GB, 0, "", likely)
    items = (model, Item("image", "server", image, 0, "", image))
    return Spread.of(
        Draft(Needs("x 1"), items), PACK, [size * GB for size in media], parity
    )


def test_media_that_hold_the_upper_bound_fit():
    plan = spread(32, 64)

    plan.require_room()
    lines = plan.lines()
    assert "they fit" in lines
    assert "  1  32 GB  packs 1-7, 27.9 GiB  model chat" in lines
    assert "  2  64 GB  packs 8-14, 27.9 GiB  model chat, image server" in lines


def test_media_must_hold_the_parity_files_too():
    plan = spread(32, 64, likely=50 * GB, parity=Ratio(2, 7))

    assert plan.layout.left == ()
    assert "packs 8-14 and parity files 1-4, " in plan.lines()[-2]
    assert plan.facts()["media"]["media"][1]["parity"][0] == "parity-0001.par"
    with pytest.raises(MediaShortError, match="no room for parity file"):
        spread(32, 32, likely=50 * GB, parity=Ratio(2, 7)).require_room()


def test_media_that_hold_only_what_is_likely_are_told_apart():
    plan = spread(64, likely=34 * GB, image=16 * GB)

    plan.require_room()
    assert "they fit if the weights shrink as usual, otherwise not" in plan.lines()
    assert plan.facts()["media"]["fits"] is False
    assert plan.facts()["media_likely"]["fits"] is True


def test_media_that_are_too_small_say_how_many_more_it_takes():
    plan = spread(16, 16, likely=50 * GB)

    with pytest.raises(MediaShortError) as caught:
        plan.require_room()

    assert "no room for packs 7-14" in caught.value.message
    assert "3 more like 16 GB" in caught.value.hint
    assert caught.value.facts["media"]["fits"] is False


def test_an_image_that_is_still_to_be_built_is_said_not_to_be_counted():
    lines = spread(128, image=None).lines()

    assert lines[-1] == "not counted, to be built: server"
    assert not [line for line in lines if "sticks" in line]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64GB,64GB,32GB", [64 * GB, 64 * GB, 32 * GB]),
        ("3x64GB", [64 * GB] * 3),
        ("2x4.7GB, 1GiB", [4_700_000_000] * 2 + [GIB]),
    ],
)
def test_media_are_named_as_they_are_sold(text, expected):
    assert list(parse_media(text)) == expected


@pytest.mark.parametrize("text", ["", "64GB,", "many", "0x64GB", "0GB", "-1GB"])
def test_what_names_no_media_is_refused(text):
    with pytest.raises(UsageError):
        parse_media(text)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], "no packs"),
        ([1], "pack 1"),
        ([1, 2, 3, 9999, 10000], "packs 1-3, 9999-10000"),
    ],
)
def test_packs_are_named_by_ranges(numbers, text):
    assert ranges([LargeFile(f"data-{n:04}.pack", 1) for n in numbers]) == text
