"""A build that did not come to its end is continued by the next; nothing is lost.

Each test runs the real `sealift build` and compares with a build that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import making
import pytest
from making import SEALIFT, Key, Outcome, noise
from sealift_bundler.record import Record
from sealift_bundler.target import MAKER

MIB = 1 << 20
EPOCH = {"SOURCE_DATE_EPOCH": "1767225600"}
FILES = {f"{n}.gguf": noise(f"part {n}", 6 * MIB) for n in range(3)}
FORMS = pytest.mark.parametrize("form", [[], ["--tar"]], ids=["directory", "tar"])


def words(spec: Path, key: Key, out: Path) -> list[str | Path]:
    """Return a command line that cuts small packs."""
    cache = spec.parent / "cache"
    places = ["-o", out, "--cache", cache, "--part-size", "8MiB"]
    return [SEALIFT, "build", spec, "--sign-key", key.private, *places]


def attempt(spec: Path, key: Key, out: Path, *more: str | Path) -> Outcome:
    """Run a build that may fail."""
    return making.run([*words(spec, key, out), *more], env=EPOCH)


def names(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec with 18 MiB of weights that do not shrink."""
    return making.weights_spec(tmp_path_factory.mktemp("sources"), "a", FILES)


@pytest.fixture(scope="module")
def calm(spec: Path, key: Key) -> Callable[[list[str]], Path]:
    """Give the place of a build that nobody disturbed."""

    @cache
    def built(*form: str) -> Path:
        out = spec.parent / f"calm{''.join(form)}"
        attempt(spec, key, out, *form).expect(0)
        return out

    return lambda form: built(*form)


@pytest.fixture(scope="module")
def unfinished(spec: Path, key: Key, calm) -> Callable[[list[str], Path], Path]:
    """Leave a build that has packed everything in a place; give what is kept."""

    @cache
    def failed(*form: str) -> Path:
        calm(form)
        out = spec.parent / f"unfinished{''.join(form)}"
        lock = spec.with_name("sealift.lock.json")
        pinned = lock.read_bytes()
        making.changed_json(lock, _pin_another_tree)
        told = attempt(spec, key, out, "--locked", *form)
        lock.write_bytes(pinned)
        told.expect(26, "18.0 MiB of packs are kept in ", "To continue: ")
        return out

    def copied(form: list[str], place: Path) -> Path:
        shutil.copytree(failed(*form), place)
        (partial,) = place.glob(".*.partial")
        return partial

    return copied


def _pin_another_tree(lock) -> None:
    lock["local"][0]["digest"] = "sha256:" + "0" * 64


def same(out: Path, calm: Path) -> bool:
    """Say whether two places hold the same, and nothing hidden."""
    assert not [name for name in names(out) if name.startswith(".")]
    return making.listing(out) == making.listing(calm)


@FORMS
def test_a_full_disk_says_what_is_missing_and_the_build_goes_on_after_room_is_made(
    tmp_path, spec, key, calm, form
):
    undisturbed = calm(form)

    with making.small_disk(tmp_path / "disk", "14m") as disk:
        full = attempt(spec, key, disk, *form)
        kept = names(disk)
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        again = attempt(spec, key, disk, *form)
        remount = ["mount", "-o", "remount,size=40m", str(disk)]
        subprocess.run(remount, check=True)
        done = attempt(spec, key, disk, *form)

        full.expect(27, "it may not fit", f"the disk of {disk} is full", "are missing")
        full.expect(27, "MiB of packs are kept in ", "To continue: ")
        assert len(kept) == 2
        assert free < 8 * MIB
        again.expect(27, "continuing a build", "is full", "are missing")
        done.expect(0, "continuing a build", "kept 1", " of packs that were written")
        assert same(disk, undisturbed)


def test_a_disk_that_is_full_to_the_last_byte_keeps_all_that_was_packed(tmp_path, key):
    files = {f"{n:02}.gguf": noise(f"file {n}", 300 << 10) for n in range(60)}
    spec = making.weights_spec(tmp_path, "a", files)

    with making.small_disk(tmp_path / "disk", "14m") as disk:
        full = attempt(spec, key, disk, "--part-size", "1GiB")

        full.expect(27, "is full", "13.", "MiB of packs are kept")


def test_a_disk_that_cannot_hold_the_bundle_is_told_before_it_is_packed(tmp_path, key):
    spec = making.weights_spec(tmp_path, "a", {"w.gguf": noise("w", 40 * MIB)})

    with making.small_disk(tmp_path / "disk", "8m") as disk:
        outcome = attempt(spec, key, disk)

        outcome.expect(27, "8.0 MiB free", "at least 20.0 MiB more", "12.0 MiB are")
        assert names(disk) == []


def test_what_shrinks_enough_is_packed_after_a_warning(tmp_path, key):
    spec = making.weights_spec(tmp_path, "a", {"w.gguf": bytes(40 * MIB)})

    with making.small_disk(tmp_path / "disk", "8m") as disk:
        attempt(spec, key, disk).expect(0, "needs up to 40.0 MiB more: it may not fit")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_build_says_what_is_kept_and_how_to_go_on(tmp_path, key, sent):
    spec = making.weights_spec(tmp_path, "a", FILES)
    with (spec.parent / "model" / "z.gguf").open("wb") as file:
        file.truncate(20 << 30)
    out = tmp_path / "with space"
    argv = [str(word) for word in (*words(spec, key, out), "--fresh")]
    record = out / ".a-1.0.0.record"

    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as build:
        wait_for(lambda: record.exists() and record.read_bytes().count(b"\n") > 3)
        build.send_signal(sent)
        _, said = build.communicate(timeout=60)

    assert build.returncode == 130
    assert "MiB of packs are kept in " in said
    assert f"-o '{out}' --cache" in said
    assert "--fresh" not in said
    assert names(out) == [".a-1.0.0.partial", ".a-1.0.0.record"]


def wait_for(what) -> None:
    """Wait until something is so, but not for ever."""
    for _ in range(600):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("it did not become so")


@FORMS
def test_damage_in_what_was_kept_is_told_and_the_next_build_makes_it_good(
    tmp_path, spec, key, calm, unfinished, form
):
    out = tmp_path / "out"
    partial = unfinished(form, out)
    if form:
        making.flip(partial)
    else:
        making.flip(partial / "data-0002.pack")

    damaged = attempt(spec, key, out, *form)
    repaired = attempt(spec, key, out, *form)

    damaged.expect(12, "does not give back what was written", "hits model tiny: 1.gguf")
    damaged.expect(12, "6.0 MiB of packs are kept")
    repaired.expect(0, "continuing a build: 6.0 MiB are packed")
    assert same(out, calm(form))


def test_kept_packs_that_are_gone_or_cut_short_are_written_again(
    tmp_path, spec, key, calm, unfinished
):
    out = tmp_path / "out"
    partial = unfinished([], out)
    (partial / "data-0003.pack").unlink()
    os.truncate(partial / "data-0002.pack", 5)

    attempt(spec, key, out).expect(0, "continuing a build: 6.0 MiB are packed")

    assert same(out, calm([]))


@pytest.mark.parametrize(
    ("maker", "said"),
    [
        (MAKER | {"sealift": "0.0.1"}, "sealift was '0.0.1' then and is '"),
        ({}, "its record cannot be read"),
    ],
)
def test_what_another_version_has_left_is_not_continued(
    tmp_path, spec, key, calm, unfinished, maker, said
):
    out = tmp_path / "out"
    unfinished([], out)
    record = Record(out / ".a-1.0.0.record")
    record.path.unlink()
    record.load(maker)

    attempt(spec, key, out).expect(0, "is not continued: ", said)

    assert same(out, calm([]))


@pytest.mark.parametrize("data", [None, b"", noise("garbage", 5000)])
def test_without_a_record_that_can_be_read_packing_begins_anew(
    tmp_path, spec, key, data
):
    out = tmp_path / "out"
    making.write_files(out / ".a-1.0.0.partial", {"data-0009.pack": b"x", "old": b"y"})
    if data is not None:
        (out / ".a-1.0.0.record").write_bytes(data)

    outcome = attempt(spec, key, out).expect(0)

    assert names(out) == ["a-1.0.0"]
    assert "old" not in names(out / "a-1.0.0")
    assert ("its record cannot be read" in outcome.err) == bool(data)


def test_fresh_begins_anew(tmp_path, spec, key, calm, unfinished):
    out = tmp_path / "out"
    unfinished([], out)

    outcome = attempt(spec, key, out, "--fresh").expect(0)

    assert "kept" not in outcome.err
    assert same(out, calm([]))


def test_a_second_build_at_once_is_refused_and_one_after_a_kill_is_not(tmp_path, key):
    spec = making.weights_spec(tmp_path, "a", FILES)
    with (spec.parent / "model" / "z.gguf").open("wb") as file:
        file.truncate(20 << 30)
    out = tmp_path / "out"
    argv = [str(word) for word in words(spec, key, out)]
    record = out / ".a-1.0.0.record"

    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as build:
        wait_for(lambda: record.exists() and record.read_bytes().count(b"\n") > 3)
        second = attempt(spec, key, out)
        build.kill()
    (spec.parent / "model" / "z.gguf").unlink()
    after = attempt(spec, key, out)

    second.expect(44, "another build is writing", str(out / "a-1.0.0"))
    after.expect(0, "continuing a build")
    assert names(out) == ["a-1.0.0"]


def test_progress_as_json_lines_is_nothing_else(tmp_path, spec, key):
    outcome = attempt(spec, key, tmp_path / "out", "--progress", "json").expect(0)
    again = attempt(spec, key, tmp_path / "out", "--progress=json").expect(27)

    events = [json.loads(line) for line in outcome.err.splitlines()]
    ends = {e["task"]: e for e in events if e["event"] == "end"}
    assert list(ends) == ["packing", "reading back"]
    assert all(end["done"] == end["total"] for end in ends.values())
    assert ends["packing"]["total"] == 18 * MIB
    (error,) = [json.loads(line) for line in again.err.splitlines()]
    assert (error["event"], error["slug"]) == ("error", "output-unwritable")
