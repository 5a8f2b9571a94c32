"""A bundle is copied to sticks: what is on them was hashed, and read back from them.

The sticks are file systems of their own. Weights only, so no engine is needed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import making
import pytest
from desk import (
    FILES,
    NAME,
    PACKS,
    ROOM_FOR_ALL,
    ROOM_FOR_ONE,
    is_part_of,
    packs_in,
)
from making import NO_ENGINE, PYZ, SEALIFT, Host, flip, sealift
from sticks import MIB

# Where it goes


def test_packs_are_spread_and_each_stick_is_verified_by_itself(desk, slots, tmp_path):
    places = [slots.memory(name, ROOM_FOR_ONE) for name in "abc"]
    labels = tmp_path / "labels.txt"

    outcome = desk.copy(*places, more=("--labels", labels))

    outcome.expect(
        0, "3 packs on 3 sticks", "stick 2 of 3", "pack 2 of 3", "model tiny"
    )
    assert [packs_in(place / NAME) for place in places] == [[pack] for pack in PACKS]
    assert all(is_part_of(place, desk.bundle) for place in places)
    check = ["sha256sum", "-c", "--strict", "--quiet", "--ignore-missing", "SHA256SUMS"]
    for place in places:
        assert subprocess.run(check, cwd=place / NAME).returncode == 0
    sealift("verify", *places, "--key", desk.key.public).expect(0, "good")
    assert labels.read_text().strip() in outcome.out
    assert desk.key.fingerprint in labels.read_text()
    assert not list(desk.notes.iterdir())


def test_a_plan_says_before_the_copy_what_the_copy_then_does(desk, slots):
    places = [slots.memory("a", "21m"), slots.memory("b", ROOM_FOR_ONE)]

    planned = desk.copy(*places, more=("--dry-run", "--json")).expect(0)
    before = [os.listdir(place) for place in places]
    desk.copy(*places).expect(0)

    assert before == [[], []]
    told = [medium["packs"] for medium in planned.facts["media"]["media"]]
    assert (
        told == [packs_in(place / NAME) for place in places] == [PACKS[:2], PACKS[2:]]
    )


def test_media_that_are_not_here_are_planned_by_their_size(desk):
    fits = desk.copy(more=("--dry-run", "--media", "16MB,12MB"))
    short = desk.copy(more=("--dry-run", "--media", "12MB"))
    never = desk.copy(more=("--dry-run", "--media", "5MB"))

    fits.expect(0, "1  16 MB  packs 1, 3", "2  12 MB  pack 2")
    short.expect(27, "no room for packs 2-3", "2 more like 12 MB")
    never.expect(27, "no room for packs 1-3", "--part-size 8MiB or less")


def test_a_tar_is_copied_as_the_files_it_holds(desk, spec, key, slots, tmp_path):
    tar = making.build(spec, key, tmp_path / "tar", "--part-size", "8MiB", "--tar")
    desk.bundle = tar
    stick = slots.memory("a", ROOM_FOR_ALL)

    desk.copy(stick).expect(0, "1 stick")

    assert packs_in(stick / NAME) == PACKS
    sealift("verify", stick, "--key", key.public).expect(0, "good")


def test_a_delta_is_copied_without_what_it_leaves_out(desk, key, slots, tmp_path):
    files = {**FILES, "new.gguf": making.noise("new", 9 * MIB)}
    spec = making.weights_spec(tmp_path, "spread", files, serial=2)
    words = ["--part-size", "8MiB", "--base", desk.bundle]
    desk.bundle = making.build(spec, key, tmp_path / "delta", *words)
    stick = slots.memory("a", ROOM_FOR_ALL)

    desk.copy(stick).expect(0, "2 packs on 1 stick", "packs 1-2 of 2", "model tiny")

    assert packs_in(stick / NAME) == packs_in(desk.bundle) == PACKS[:2]
    sealift("verify", stick, "--key", key.public).expect(0, "good")


def test_weights_are_installed_from_the_sticks(desk, slots, tmp_path):
    places = [slots.memory(name, "21m") for name in "ab"]
    desk.copy(*places).expect(0)
    host = Host(tmp_path / "host", places[0] / NAME / PYZ, engine=NO_ENGINE)

    host.run("install", *places, "--key", desk.key.public).expect(0)

    host.run("audit").expect(0, "clean")


# One slot


def test_one_slot_is_enough_for_any_number_of_sticks(desk, slots):
    for name in ("one", "two", "three"):
        slots.make(name, "ext4", 14 * MIB)
    usb = slots.insert("one", "usb")
    with desk.at_a_terminal(usb) as user:
        question = "press Enter when it is mounted at"
        user.wait_for(question)
        user.type("")
        user.wait_for("stick 1 is still in")
        user.wait_for(question)
        slots.take_out("usb")
        user.type("")
        user.wait_for("nothing is mounted at")
        user.wait_for(question)
        slots.insert("two", "usb")
        user.type("")
        user.wait_for(question)
        slots.take_out("usb")
        elsewhere = slots.insert("three", "automounted")
        user.type(str(elsewhere))
        assert user.end() == 0
    assert "written and read back: good; packs 2-3 still to copy" in user.said
    assert "2 more sticks like" in user.said
    assert "stick 3 of 3" in user.said
    slots.take_all_out()
    places = [slots.insert(name, name) for name in ("one", "two", "three")]
    assert [packs_in(place / NAME) for place in places] == [[pack] for pack in PACKS]
    sealift("verify", *places, "--key", desk.key.public).expect(0, "good")


def test_without_a_terminal_the_same_command_goes_on_with_the_next_stick(desk, slots):
    first = slots.memory("first", ROOM_FOR_ONE)
    cut = desk.copy(first)
    second = slots.memory("second", ROOM_FOR_ALL)

    asked = desk.copy(second, more=("--dry-run", "--from-start", "--json"))
    resumed = desk.copy(second)

    cut.expect(27, "packs 2-3 still to copy", "12.0 MiB", "run the same command again")
    assert asked.facts["media"]["media"][0]["packs"] == PACKS
    resumed.expect(0, "stick 1 is in no slot", "stick 2 of 2", "packs 2-3 of 3")
    assert packs_in(second / NAME) == PACKS[1:]
    assert not list(desk.notes.iterdir())


def test_a_user_may_begin_anew_instead(desk, slots):
    desk.copy(slots.memory("lost", ROOM_FOR_ONE)).expect(27)
    stick = slots.memory("new", ROOM_FOR_ALL)

    desk.copy(stick, more=("--from-start",)).expect(0, "3 packs on 1 stick")

    assert packs_in(stick / NAME) == PACKS


# Again


def test_what_is_there_and_good_is_not_copied_again(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ALL)
    desk.copy(stick).expect(0)
    before = {path.name: path.stat().st_mtime_ns for path in (stick / NAME).iterdir()}

    desk.copy(stick).expect(0, "packs 1-3 there already, verified, not copied again")

    after = {path.name: path.stat().st_mtime_ns for path in (stick / NAME).iterdir()}
    assert after == before


def test_a_bad_pack_and_a_bad_small_file_are_written_anew(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ALL)
    desk.copy(stick).expect(0)
    flip(stick / NAME / PACKS[1])
    flip(stick / NAME / "index.json")

    desk.copy(stick).expect(0, "packs 1, 3 there already")

    assert is_part_of(stick, desk.bundle)


def test_a_half_file_is_continued_where_it_is_good(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ALL)
    folder = making.write_files(stick / NAME, {})
    for number, pack in enumerate(PACKS):
        whole = (desk.bundle / pack).read_bytes()
        half = whole[: len(whole) // 2] if number else whole + b"too long"
        (folder / f".{pack}.partial").write_bytes(half)
    flip(folder / f".{PACKS[2]}.partial", at=5)

    desk.copy(stick).expect(0)

    assert is_part_of(stick, desk.bundle)


@pytest.mark.slow
def test_a_copy_that_is_killed_anywhere_is_finished_by_running_it_again(desk, slots):
    dice = random.Random(5)
    slots.make("one", "ext4", 20 * MIB)
    slots.make("two", "ext4", 14 * MIB)
    places = [slots.insert(name, name) for name in ("one", "two")]
    for _ in range(8):
        words = [SEALIFT, *desk.words(*places)]
        run = subprocess.Popen(words, env={**os.environ, **desk.env}, stderr=-3)
        time.sleep(0.4 + dice.random() * 0.6)
        run.send_signal(signal.SIGKILL)
        run.wait()
        for place in places:  # whatever bears a final name is whole
            assert not (place / NAME).exists() or all(
                (place / NAME / pack).read_bytes() == (desk.bundle / pack).read_bytes()
                for pack in packs_in(place / NAME)
            )

    desk.copy(*places).expect(0)

    assert all(is_part_of(place, desk.bundle) for place in places)
    assert sorted(pack for place in places for pack in packs_in(place / NAME)) == PACKS


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ONE)
    with desk.at_a_terminal(stick, more=["--from-start"]) as user:
        user.wait_for("press Enter")
        user.interrupt()
        assert user.end() == 130

    assert (
        "interrupted; what is on media is kept, a half file is continued" in user.said
    )
    assert "To continue: " in user.said
    assert "half-done" not in user.said
    last = user.said.partition("To continue: ")[2]
    assert "copy" in last
    assert "--from-start" not in last
    assert packs_in(stick / NAME) == PACKS[:1]


def test_a_program_follows_a_copy_by_lines_of_json(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ONE)

    outcome = desk.copy(stick, more=("--progress", "json"))

    outcome.expect(27)
    events = [json.loads(line) for line in outcome.err.splitlines()]
    tasks = [(each["event"], each.get("task")) for each in events]
    assert ("begin", "stick 1") in tasks
    assert ("end", "stick 1") in tasks
    assert events[-1]["event"] == "error"
    assert events[-1]["exit_code"] == 27
