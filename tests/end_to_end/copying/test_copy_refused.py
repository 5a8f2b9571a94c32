"""What `copy` does with sticks, and bundles, that are not as they should be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import making
from desk import (
    NAME,
    PACKS,
    ROOM_FOR_ALL,
    is_part_of,
    packs_in,
)
from making import NO_ENGINE, PYZ, SEALIFT, Host, flip, sealift
from sticks import MIB

# Refused


def test_a_bundle_that_nobody_trusts_is_not_copied(desk, slots, tmp_path):
    stick = slots.memory("a", ROOM_FOR_ALL)
    desk.key = making.a_key(tmp_path / "other")

    desk.copy(stick).expect(11)

    assert os.listdir(stick) == []


def test_a_damaged_source_is_named_and_what_is_damaged_is_not_written(
    desk, slots, tmp_path
):
    desk.bundle = making.copied(desk.bundle, tmp_path / "bad")
    flip(desk.bundle / PACKS[1])
    stick = slots.memory("a", ROOM_FOR_ALL)

    outcome = desk.copy(stick)

    outcome.expect(12, f"{desk.bundle}/{PACKS[1]}", "are not what was signed")
    assert packs_in(stick / NAME) == PACKS[:1]
    (desk.bundle / PACKS[2]).unlink()
    desk.copy(stick).expect(15, PACKS[2])


def test_files_of_another_bundle_are_not_overwritten(desk, slots, bundle):
    other = {"SHA256SUMS": b"of another bundle\n", PACKS[0]: b"precious"}
    with_list, without = slots.memory("a", ROOM_FOR_ALL), slots.memory("b", "30m")
    making.write_files(with_list / NAME, other)
    making.write_files(without / NAME, {PACKS[0]: b"precious"})

    desk.copy(with_list).expect(27, f"{with_list / NAME}/SHA256SUMS is in the way")
    desk.copy(without).expect(27, f"{without / NAME}/{PACKS[0]} is in the way")

    assert making.listing(with_list / NAME).keys() == other.keys()
    assert (without / NAME / PACKS[0]).read_bytes() == b"precious"


def test_a_link_on_a_stick_is_not_followed(desk, slots, tmp_path):
    stick = slots.memory("a", ROOM_FOR_ALL)
    victim = making.write_files(tmp_path / "victim", {"file": b"precious"})
    (stick / NAME).symlink_to(victim)

    desk.copy(stick).expect(27, "is in the way")
    (stick / NAME).unlink()
    (stick / NAME).mkdir()
    (stick / NAME / PACKS[0]).symlink_to(victim / "file")
    (stick / NAME / f".{PACKS[1]}.partial").symlink_to(victim / "file")
    desk.copy(stick).expect(27, "is in the way")
    (stick / NAME / PACKS[0]).unlink()
    desk.copy(stick).expect(27, "symbolic link")

    assert making.listing(victim).keys() == {"file"}
    assert (victim / "file").read_bytes() == b"precious"


def test_a_bundle_is_not_copied_onto_itself(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ALL)
    desk.copy(stick).expect(0)
    flip(stick / NAME / PACKS[1])
    desk.bundle = stick

    desk.copy(stick).expect(2, f"{stick / NAME} is where the bundle is copied from")

    assert packs_in(stick / NAME) == PACKS


def test_a_folder_where_no_medium_is_mounted_is_pointed_out(desk, tmp_path):
    told = desk.copy(tmp_path).expect(0)

    is_system_disk = tmp_path.stat().st_dev == Path("/").stat().st_dev
    assert ("is on this machine's own disk" in told.said) == is_system_disk


def test_two_places_on_one_file_system_are_no_two_media(desk, tmp_path):
    places = [making.write_files(tmp_path / name, {}) for name in "ab"]

    desk.copy(*places).expect(27, "are on one file system", "both media are mounted")
    desk.copy(tmp_path / "nowhere").expect(27, "nowhere is not there", "mounted")


def test_two_copies_to_one_stick_are_not_made_at_once(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ALL)
    (stick / NAME).mkdir()

    with subprocess.Popen(
        ["flock", stick / NAME, "-c", "echo held; read wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        desk.copy(stick).expect(44, "another run is copying")
        other.communicate(b"\n")


def test_what_does_not_go_together_is_said(desk):
    desk.copy().expect(2, "--to")
    desk.copy(more=("--media", "64GB")).expect(2, "--dry-run")
    desk.copy(more=("--dry-run", "--media", "0GB")).expect(2, "no size")


# File systems


def test_sticks_of_each_kind_are_filled_and_read_back(stick_kind, desk, slots):
    slots.make("stick", stick_kind, 40 * MIB)
    stick = slots.insert("stick", "usb")

    copied = desk.copy(stick).expect(0, "read back and verified")

    slots.take_out("usb")
    again = slots.insert("stick", "usb")
    assert is_part_of(again, desk.bundle)
    sealift("verify", again, "--key", desk.key.public).expect(0, "good")
    if stick_kind != "vfat":  # which a FUSE program may serve, from its own memory
        assert "from memory" not in copied.said


def test_a_read_only_stick_is_a_source_and_no_target(desk, slots):
    slots.make("stick", "ext4", 40 * MIB)
    desk.copy(slots.insert("stick", "usb")).expect(0)
    slots.take_out("usb")
    locked = slots.insert("stick", "usb", "ro")

    desk.copy(locked).expect(27, f"{locked} cannot be written: Read-only", "switch")
    desk.bundle = locked
    desk.copy(slots.memory("other", ROOM_FOR_ALL)).expect(0)


def test_where_a_file_may_not_be_so_long_the_remedy_is_named(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ALL)
    limited = ["prlimit", f"--fsize={5 * MIB}", SEALIFT, *desk.words(stick)]

    outcome = making.run(limited, env=desk.env)

    outcome.expect(27, f"{stick} takes no file as long as {PACKS[0]}", "--part-size")
    assert packs_in(stick / NAME) == []


def test_memory_is_not_taken_for_a_stick(desk, slots):
    desk.copy(slots.memory("a", ROOM_FOR_ALL)).expect(
        0, "tmpfs keeps it in memory", "insert it again"
    )


def test_litter_is_noted_apart_from_what_nobody_signed(desk, slots):
    stick = slots.memory("a", ROOM_FOR_ALL)
    desk.copy(stick).expect(0)
    litter = {"Thumbs.db": b"", "desktop.ini": b"", "._index.json": b"", "x.sh": b""}
    making.write_files(stick / NAME, litter)
    making.write_files(stick / NAME / "System Volume Information", {"x": b""})
    host = Host(stick, stick / NAME / PYZ, engine=NO_ENGINE)

    for outcome in (
        sealift("verify", stick / NAME, "--key", desk.key.public),
        host.run("verify", stick / NAME, "--key", desk.key.public),
    ):
        outcome.expect(
            0,
            "left by other systems, ignored: ._*, System Volume Information, "
            "Thumbs.db, desktop.ini",
            "nobody signed: x.sh\n",
        )
