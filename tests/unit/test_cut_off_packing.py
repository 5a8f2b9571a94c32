"""Packing that is cut off at any operation ends, run again, in the same bundle.

The power goes, the disk is full, or it fails, at every operation on the disk in turn.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from random import Random

import pytest
from faultydisk import FaultyDisk, PowerCutError
from making import noise
from mixed import text, weights
from sealift_bundler import packs, part_size
from sealift_bundler.pack import Packer
from sealift_bundler.packs import Resumed
from sealift_bundler.target import open_target
from sealift_manifests.errors import OutputError
from sealift_manifests.index import dump_index

FORMS = pytest.mark.parametrize("tar", [False, True], ids=["directory", "tar"])
PIECE = 3000
FILES = {
    "a.txt": [(text("a", 200)[:PIECE], 1)],
    "b.bin": [(noise(f"b{n}", PIECE), 1) for n in range(6)],
    "c.safetensors": [(weights(f"c{n}", PIECE, 2), 2) for n in range(4)],
    "d.bin": [(noise(f"b{n}", PIECE), 1) for n in (3, 7, 8)],
}


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_size, "MAX_CHUNK", 1)
    monkeypatch.setattr(packs, "_SYNC_EVERY", 2 * PIECE)
    # What a real sync does is for the made-up disk to say.
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def bundle(folder: Path, *, tar: bool, files=FILES, part=4 * PIECE) -> list[Resumed]:
    """Write a bundle as a build does; return what was taken over."""
    told: list[Resumed] = []
    with open_target(folder, "b", tar=tar, mtime=7) as target:
        with Packer(target, part, told.append) as packer:
            for name, pieces in files.items():
                packer.add(pieces, name=name)
            index = packer.finish()
        for name, data in {
            "SHA256SUMS": repr(sorted(packer.pack_digests.items())).encode(),
            "index.json": dump_index(index),
        }.items():
            sink = target.create(name)
            sink.write(data)
            sink.close()
        target.finish()
        target.commit()
    return told


def contents(folder: Path) -> dict[str, bytes]:
    """Return everything below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def calm(folder: Path, **how) -> dict[str, bytes]:
    """Return what a bundle holds that nobody disturbed."""
    bundle(folder, **how)
    return contents(folder)


def finished(out: Path, **how) -> list[Resumed]:
    """Write the bundle, unless a run that was cut off at its very end had written it.

    Return what was taken over.
    """
    try:
        return bundle(out, **how)
    except OutputError as error:
        assert "exists already" in error.message
        return []


def cut_at_every_operation(
    tmp_path: Path, seed: int, undisturbed: dict[str, bytes], before=None, **how
) -> None:
    """Cut the power at each operation in turn; a next run must always finish.

    With seed 0 only the process is killed: the kernel lives on. `before` prepares the
    place.
    """
    random = Random(seed)
    at, is_over = 0, False
    while not is_over:
        at += 1
        out = tmp_path / f"{at}"
        out.mkdir()
        if before:
            before(out)
        disk = FaultyDisk(out, at)
        with disk.in_place():
            try:
                bundle(out, **how)
                is_over = True
            except PowerCutError:
                pass
        if disk.is_off and seed:
            disk.leave_after_power_cut(random)
        if (out / "b").exists() or (out / "b.tar").exists():
            found = {n: x for n, x in contents(out).items() if not n.startswith(".")}
            assert found == undisturbed, at
        all_packed = (out / ".b.partial" / "index.json").exists()
        told = finished(out, **how)
        assert contents(out) == undisturbed, at
        if all_packed and not seed:
            stored = sum(len(x) for n, x in undisturbed.items() if "data-" in n)
            assert told == [Resumed(stored, 0, "")], at
    assert at > 30


@FORMS
@pytest.mark.parametrize("seed", range(3))
def test_a_power_cut_at_any_operation_costs_nothing_but_time(tmp_path, tar, seed):
    undisturbed = calm(tmp_path / "calm", tar=tar)

    cut_at_every_operation(tmp_path, seed, undisturbed, tar=tar)


@FORMS
@pytest.mark.parametrize("seed", range(2))
def test_a_power_cut_while_a_changed_source_is_packed_anew_costs_nothing_either(
    tmp_path, tar, seed
):
    new = FILES | {"b.bin": [*FILES["b.bin"][:2], (noise("new", PIECE), 1)]}
    undisturbed = calm(tmp_path / "calm", tar=tar, files=new)
    leave_unfinished(tmp_path / "left", tar=tar)

    def before(out: Path) -> None:
        shutil.copytree(tmp_path / "left", out, dirs_exist_ok=True)

    cut_at_every_operation(tmp_path, seed, undisturbed, before, tar=tar, files=new)


@FORMS
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_says_no_at_any_operation_is_told_and_then_continued(
    tmp_path, tar, number
):
    undisturbed = calm(tmp_path / "calm", tar=tar)

    at, is_over = 0, False
    while not is_over:
        at += 1
        out = tmp_path / f"{at}"
        out.mkdir()
        disk = FaultyDisk(out, at, OSError(number, "no"))
        with disk.in_place():
            try:
                bundle(out, tar=tar)
                is_over = disk.count < at
            except (OutputError, OSError):
                pass
        finished(out, tar=tar)
        assert contents(out) == undisturbed, at
    assert at > 30


@FORMS
@pytest.mark.parametrize("stop", (1, 7, 13))
def test_a_failure_of_a_source_keeps_every_chunk_that_was_packed(tmp_path, tar, stop):
    undisturbed = calm(tmp_path / "calm", tar=tar)
    stored = sum(len(x) for x in undisturbed.values())

    with pytest.raises(ZeroDivisionError):
        bundle(tmp_path / "out", tar=tar, files={"x": failing(stop)})
    told = bundle(tmp_path / "out", tar=tar)

    assert contents(tmp_path / "out") == undisturbed
    kept = sum(resumed.kept for resumed in told)
    # What was in flight is not stored yet.
    assert 0 <= kept < stored
    assert not any(resumed.lost for resumed in told)
    assert kept > 0 or stop < 12


def failing(stop: int):
    """Yield all pieces in order, of which the one number `stop` cannot be read."""
    pieces = [piece for pieces in FILES.values() for piece in pieces]
    for number, piece in enumerate(pieces):
        if number == stop:
            raise ZeroDivisionError
        yield piece


@FORMS
@pytest.mark.parametrize("changed", ["a.txt", "b.bin", "c.safetensors", "d.bin"])
def test_a_changed_source_is_noticed_and_packed_anew_from_there(tmp_path, tar, changed):
    new = FILES | {changed: [*FILES[changed][:1], (noise("new", PIECE), 1)]}
    undisturbed = calm(tmp_path / "calm", tar=tar, files=new)

    leave_unfinished(tmp_path / "out", tar=tar)
    (told,) = bundle(tmp_path / "out", tar=tar, files=new)

    assert contents(tmp_path / "out") == undisturbed
    assert told.at == changed
    assert told.kept > 0
    assert told.lost > 0


def leave_unfinished(folder: Path, *, tar: bool, part=4 * PIECE) -> None:
    """Pack everything, and fail before anything else is written."""
    with (
        pytest.raises(ZeroDivisionError),
        open_target(folder, "b", tar=tar, mtime=3) as target,
        Packer(target, part) as packer,
    ):
        for name, pieces in FILES.items():
            packer.add(pieces, name=name)
        packer.finish()
        raise ZeroDivisionError


@FORMS
def test_elements_of_another_width_are_another_chunk(tmp_path, tar):
    wider = FILES | {"c.safetensors": [(d, 4) for d, _ in FILES["c.safetensors"]]}
    undisturbed = calm(tmp_path / "calm", tar=tar, files=wider)

    leave_unfinished(tmp_path / "out", tar=tar)
    (told,) = bundle(tmp_path / "out", tar=tar, files=wider)

    assert contents(tmp_path / "out") == undisturbed
    assert told.at == "c.safetensors"


@FORMS
@pytest.mark.parametrize("part", [1, 3 * PIECE, 4 * PIECE, 5 * PIECE, 100 * PIECE])
def test_another_part_size_is_noticed(tmp_path, tar, part):
    undisturbed = calm(tmp_path / "calm", tar=tar, part=part)

    leave_unfinished(tmp_path / "out", tar=tar)
    (told,) = bundle(tmp_path / "out", tar=tar, part=part)

    assert contents(tmp_path / "out") == undisturbed
    assert (told.lost == 0) == (part == 4 * PIECE)


@FORMS
def test_sources_that_hold_less_now_leave_nothing_of_before(tmp_path, tar):
    less = {name: FILES[name] for name in ("a.txt", "b.bin")}
    undisturbed = calm(tmp_path / "calm", tar=tar, files=less)

    leave_unfinished(tmp_path / "out", tar=tar)
    (told,) = bundle(tmp_path / "out", tar=tar, files=less)

    assert contents(tmp_path / "out") == undisturbed
    assert told.lost > 0
    assert told.at == ""
