"""Packs that are lost or damaged on the way are rebuilt from parity, without a trip.

Weights only, so the host needs no engine: none is there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import reduce
from pathlib import Path
from typing import Any

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key, Outcome, copied, flip, sealift

MIB = 1 << 20
PACKS = [f"data-{number:04}.pack" for number in range(1, 6)]
TENSORS = {f"layer.{n}": making.noise(f"parity {n}", MIB) for n in range(34)}
FILES = {"model.safetensors": making.safetensors(TENSORS), "config.json": b"{}"}
DATE = {"SOURCE_DATE_EPOCH": "1760000000"}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spec")
    return making.weights_spec(folder, "parity", FILES, serial=1)


def built(spec: Path, key: Key, out: Path, ratio: str, *options: str) -> Path:
    words = ["--part-size", "8MiB", "--parity", ratio, *options]
    return making.build(spec, key, out, *words, env=DATE)


@pytest.fixture(scope="module")
def one_group(spec: Path, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of five packs, any of which may be lost at one place."""
    made = built(spec, key, tmp_path_factory.mktemp("one"), "1/5")
    assert sorted(path.name for path in made.glob("*.pack")) == PACKS
    return made


@pytest.fixture(scope="module")
def three(spec: Path, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in three groups of at most two packs, with a parity file each."""
    return built(spec, key, tmp_path_factory.mktemp("three"), "1/2")


@pytest.fixture
def medium(one_group: Path, tmp_path: Path) -> Path:
    """A copy of the bundle of one group, to spoil."""
    return copied(one_group, tmp_path / "usb")


@pytest.fixture
def host(tmp_path: Path, one_group: Path) -> Host:
    root = tmp_path / "host"
    root.mkdir()
    return Host(root, one_group / PYZ, engine=NO_ENGINE)


def verified(*media: Path, key: Key) -> Outcome:
    """Verify on the connected side, which has the same words as the host."""
    return sealift("verify", *media, "--key", key.public)


def holds_the_model(host: Host) -> bool:
    """Say whether the audit is clean, and the tree on the host is the model."""
    host.run("audit").expect(0, "clean")
    status = host.run("status", "--json").facts
    tree = Path(status["bundles"][0]["models"]["tiny"])
    return {path.name: path.read_bytes() for path in tree.iterdir()} == FILES


def places(bundle: Path, pack: str) -> list[int]:
    """Return where the chunks of a pack begin, and where the last ends."""
    index = json.loads((bundle / "index.json").read_bytes())
    number = PACKS.index(pack)
    starts = [c["offset"] for c in index["chunks"] if c["pack"] == number]
    return [*starts, index["packs"][number]["size"]]


# What is mended


def test_a_pack_that_is_lost_is_rebuilt(host, key, medium):
    (medium / PACKS[2]).unlink()

    host.run("verify", medium, "--key", key.public).expect(
        0, "good", f"of {PACKS[2]} that no medium has whole", "rebuilt from parity"
    )
    done = host.run("install", medium, "--key", key.public)

    done.expect(0, f"{PACKS[2]} was not there", "rebuilt from parity")
    assert holds_the_model(host)


def test_packs_damaged_in_different_places_are_rebuilt(host, key, medium):
    first, second = places(medium, PACKS[0]), places(medium, PACKS[3])
    flip(medium / PACKS[0], at=first[2] + 5)
    flip(medium / PACKS[3], at=second[5] + 5)
    (medium / PACKS[4]).write_bytes((medium / PACKS[4]).read_bytes()[:-9])

    verified(medium, key=key).expect(0, *(f"{medium}/{PACKS[n]}" for n in (0, 3, 4)))
    done = host.run("install", medium, "--key", key.public, "--json").expect(0)

    assert done.facts["rebuilt"] == {PACKS[0]: 1, PACKS[3]: 1, PACKS[4]: 1}
    assert holds_the_model(host)


@pytest.mark.parametrize("stick", range(3))
def test_any_stick_of_several_may_be_lost_with_its_packs_and_parity(
    stick, key, three, tmp_path
):
    row = [*PACKS, *(f"parity-{number:04}.par" for number in (1, 2, 3))]
    small = [p.name for p in three.iterdir() if p.suffix not in (".pack", ".par")]
    sticks = [tmp_path / f"usb{number}" for number in range(3)]
    for number, place in enumerate(sticks):
        place.mkdir()
        for name in [*small, *row[3 * number : 3 * number + 3]]:
            shutil.copy(three / name, place)

    outcome = verified(*(place for place in sticks if place != sticks[stick]), key=key)

    outcome.expect(0, *row[3 * stick : 3 * stick + 3])


def test_a_damaged_tar_is_mended_too(spec, key, three, tmp_path):
    tar = built(spec, key, tmp_path, "1/2", "--tar")
    listed = subprocess.run(["tar", "-tf", tar], check=True, capture_output=True)
    names = [line.rpartition("/")[2] for line in listed.stdout.decode().split()]
    flip(tar, at=512 + 77)

    outcome = verified(tar, key=key)

    outcome.expect(0, f"of {PACKS[0]} that", "rebuilt from parity")
    assert names[:8] == [*PACKS, *sorted(path.name for path in three.glob("*.par"))]
    subprocess.run(["tar", "-xf", tar, "-C", tmp_path], check=True)
    for path in three.glob("*.par"):
        assert (tmp_path / three.name / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("harm", ["flipped", "gone", "cut"])
def test_without_good_parity_all_is_good_but_one_is_told(harm, key, host, medium):
    file = medium / "parity-0001.par"
    if harm == "flipped":
        flip(file, at=7)
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()

    verified(medium, key=key).expect(0, "good", file.name, "only rebuilding would")
    done = host.run("install", medium, "--key", key.public, "--json").expect(0)

    assert done.facts["rebuilt"] == {}


def test_two_of_a_group_may_be_lost_whole_with_two_parity_files(key, tmp_path):
    files = {"big.gguf": making.noise("two lost", 31 * MIB)}
    spec = making.weights_spec(tmp_path / "spec", "two", files)
    bundle = built(spec, key, tmp_path / "out", "2/4")
    root = tmp_path / "host"
    root.mkdir()
    host = Host(root, bundle / PYZ, engine=NO_ENGINE)
    for name in (PACKS[1], PACKS[3]):
        (bundle / name).unlink()

    done = host.run("install", bundle, "--key", key.public, "--json").expect(0)

    assert done.facts["rebuilt"] == {PACKS[1]: 1, PACKS[3]: 1}
    host.run("audit").expect(0, "clean")


# What is beyond repair


def test_more_lost_packs_than_parity_bears_are_named_before_any_change(
    host, key, medium
):
    (medium / PACKS[1]).unlink()
    (medium / PACKS[3]).unlink()
    before = host.listing()

    host.run("verify", medium, "--key", key.public).expect(
        15, f": {PACKS[1]}, {PACKS[3]}", f"parity cannot rebuild it, since {PACKS[3]}"
    )
    outcome = host.run("install", medium, "--key", key.public)

    outcome.expect(15, PACKS[1], PACKS[3], "parity cannot rebuild it")
    assert host.listing() == before


def test_packs_damaged_at_one_place_are_named_with_it(host, key, medium):
    flip(medium / PACKS[1], at=3 * MIB)
    flip(medium / PACKS[3], at=3 * MIB)
    flip(medium / PACKS[0], at=6 * MIB)

    outcome = verified(medium, key=key)
    installed = host.run("install", medium, "--key", key.public)

    outcome.expect(12, f"{medium}/{PACKS[0]}: is not what was signed")
    outcome.expect(12, f"{medium}/{PACKS[1]}", f"since {PACKS[3]} of its group is")
    needed = outcome.said.partition("needed: ")[2]
    assert PACKS[0] not in needed
    assert PACKS[1] in needed
    installed.expect(12, f"{medium}/{PACKS[1]}", f"since {PACKS[3]} of its group is")


def test_a_lost_pack_and_damaged_parity_are_named_together(key, medium):
    (medium / PACKS[2]).unlink()
    flip(medium / "parity-0001.par", at=5 * MIB)

    outcome = verified(medium, key=key)

    outcome.expect(15, PACKS[2], "since parity-0001.par of its group is missing or bad")


def test_parity_that_was_signed_but_is_none_is_never_believed(host, key, medium):
    def lie(index: Any) -> None:
        data = bytes(index["parity"][0]["size"])
        (medium / "parity-0001.par").write_bytes(data)
        index["parity"][0]["blocks"] = [making.digest_of(data)]

    making.changed_json(medium / "index.json", lie)
    making.resign(medium, key)
    (medium / PACKS[2]).unlink()

    outcome = host.run("install", medium, "--key", key.public)

    outcome.expect(15, PACKS[2], "parity makes other bytes of it than were signed")


def test_a_parity_file_that_nobody_signed_is_refused(key, medium):
    (medium / "parity-0001.par").rename(medium / "other.par")
    making.resign(medium, key)

    verified(medium, key=key).expect(10, "SHA256SUMS lacks a parity file")


# The build


def test_parity_is_what_any_program_would_make_of_the_packs(one_group, three):
    def xor(names: list[str], folder: Path) -> bytes:
        longest = max((folder / name).stat().st_size for name in names)
        values = [int.from_bytes((folder / n).read_bytes(), "little") for n in names]
        return reduce(int.__xor__, values).to_bytes(longest, "little")

    assert (one_group / "parity-0001.par").read_bytes() == xor(PACKS, one_group)
    for number, members in enumerate([PACKS[2::3], PACKS[0::3], PACKS[1::3]]):
        file = three / f"parity-{number + 1:04}.par"
        assert file.read_bytes() == xor(members, three)


def test_the_same_inputs_give_the_same_parity_and_host_tools_settle_it(
    spec, key, one_group, tmp_path
):
    again = built(spec, key, tmp_path, "1/5")

    assert (again / "SHA256SUMS").read_bytes() == (
        one_group / "SHA256SUMS"
    ).read_bytes()
    assert b"parity-0001.par" in (again / "SHA256SUMS").read_bytes()
    checked = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=again)
    assert checked.returncode == 0


def test_people_are_told_what_parity_costs_and_bears(spec, key, three):
    planned = sealift("plan", spec, "--part-size", "8MiB", "--parity", "1/2")
    shown = sealift("inspect", three, "--key", key.public)

    # At the worst each pack is half full: nine packs, and so five groups.
    planned.expect(0, "parity     at most 40.0 MiB")
    shown.expect(0, "parity     2", "in 3 files: any 1 lost of 3 can be rebuilt")
    assert (
        "`parity-0001.par` to `parity-0003.par`" in (three / "INSTALL.md").read_text()
    )


def test_a_ratio_that_is_none_is_refused_before_anything_is_done(spec, key, tmp_path):
    words = ["build", spec, "--sign-key", key.private, "-o", tmp_path / "out"]

    sealift(*words, "--parity", "0/20").expect(2, "'0/20'", "such as 1/20")

    assert not (tmp_path / "out").exists()


def test_a_bundle_without_packs_has_nothing_to_protect(key, tmp_path):
    spec = making.weights_spec(tmp_path / "spec", "empty", {"nothing.txt": b""})

    bundle = built(spec, key, tmp_path / "out", "1/2")

    assert not list(bundle.glob("*.par"))
    verified(bundle, key=key).expect(0, "good")
