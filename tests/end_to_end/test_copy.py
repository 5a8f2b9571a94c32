"""A bundle is copied to sticks: what is on them was hashed, and read back from them.

The sticks are file systems of their own. Weights only, so no engine is needed.
"""

from __future__ import annotations

import errno
import os
import pty
import random
import signal
import subprocess
import time
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, SEALIFT, Host, Key, Outcome, flip, sealift
from sticks import MIB

NAME = "spread-1.0.0"
FILES = {"big.gguf": making.noise("copy", 20 * MIB), "config.json": b"{}"}
PACKS = [f"data-{number:04}.pack" for number in (1, 2, 3)]
ROOM_FOR_ONE = "11m"
ROOM_FOR_ALL = "30m"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spec")
    return making.weights_spec(folder, "spread", FILES, serial=1)


@pytest.fixture(scope="module")
def bundle(spec: Path, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    made = making.build(spec, key, out, "--part-size", "8MiB")
    assert packs_in(made) == PACKS
    return made


class Desk:
    """The connected machine: the bundle, its key, and a place for notes."""

    def __init__(self, folder: Path, bundle: Path, key: Key) -> None:
        self.bundle, self.key = bundle, key
        self.env = {"XDG_STATE_HOME": str(folder / "notes")}
        self.notes = folder / "notes/sealift/copies"

    def words(self, *places: Path) -> list[str | Path]:
        """Return the arguments that copy the bundle to these places."""
        to = [word for place in places for word in ("--to", place)]
        return ["copy", self.bundle, "--key", self.key.public, *to]

    def copy(self, *places: Path, more: tuple[str | Path, ...] = ()) -> Outcome:
        """Copy without a terminal."""
        return sealift(*self.words(*places), *more, env=self.env)


@pytest.fixture
def desk(tmp_path: Path, bundle: Path, key: Key) -> Desk:
    return Desk(tmp_path, bundle, key)


def packs_in(folder: Path) -> list[str]:
    """Return the packs of a folder, in order."""
    return sorted(path.name for path in folder.glob("*.pack"))


def is_part_of(medium: Path, bundle: Path) -> bool:
    """Say whether all that lies on a medium is what the bundle has, nothing else."""
    found = making.listing(medium / NAME)
    whole = making.listing(bundle)
    small = {name: what for name, what in whole.items() if name not in PACKS}
    digests = {name: what.split()[-1] for name, what in whole.items()}
    return small.keys() <= found.keys() and all(
        digests.get(name) == what.split()[-1] for name, what in found.items()
    )


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


def test_weights_are_installed_from_the_sticks(desk, slots, tmp_path):
    places = [slots.memory(name, "21m") for name in "ab"]
    desk.copy(*places).expect(0)
    host = Host(tmp_path / "host", places[0] / NAME / PYZ, engine=NO_ENGINE)

    host.run("install", *places, "--key", desk.key.public).expect(0)

    host.run("audit").expect(0, "clean")


# One slot


class Terminal:
    """A user at a terminal: waits for a question, does something, answers."""

    def __init__(self, argv: list[str | Path], env: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.run = subprocess.Popen(
            [SEALIFT, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, **env, "COLUMNS": "200"},
        )
        os.close(slave)
        self.said = ""

    def wait_for(self, words: str) -> None:
        """Read until the program has said these words, which are then forgotten."""
        heard = ""
        while words not in heard:
            data = self._read()
            assert data, f"{words!r} was not said, but:\n{self.said}"
            heard += data

    def answer(self, text: str = "") -> None:
        """Type a line."""
        os.write(self._master, f"{text}\n".encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        os.close(self._master)
        return self.run.wait(timeout=making.PATIENCE)

    def _read(self) -> str:
        try:
            data = os.read(self._master, 65536).decode(errors="replace")
        except OSError as error:
            assert error.errno == errno.EIO  # the other end is closed
            return ""
        self.said += data
        return data


def test_one_slot_is_enough_for_any_number_of_sticks(desk, slots):
    for name in ("one", "two", "three"):
        slots.make(name, "ext4", 12 * MIB)
    usb = slots.insert("one", "usb")
    user = Terminal(desk.words(usb), desk.env)

    question = "press Enter when it is mounted at"
    user.wait_for(question)
    user.answer()
    user.wait_for("stick 1 is still in")
    user.wait_for(question)
    slots.take_out("usb")
    user.answer()
    user.wait_for("nothing is mounted at")
    user.wait_for(question)
    slots.insert("two", "usb")
    user.answer()
    user.wait_for(question)
    slots.take_out("usb")
    elsewhere = slots.insert("three", "automounted")
    user.answer(str(elsewhere))

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

    resumed = desk.copy(second)

    cut.expect(27, "packs 2-3 still to copy", "12.0 MiB", "run the same command again")
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
    slots.make("two", "ext4", 12 * MIB)
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

    desk.bundle = locked
    desk.copy(slots.memory("other", ROOM_FOR_ALL)).expect(0)
    desk.copy(locked).expect(27, f"{locked} cannot be written: Read-only", "switch")


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
