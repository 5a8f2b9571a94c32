"""One bundle on several media, in a tar, on media that are read-only or littered.

Weights only, so the host needs no engine: none is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hosts
import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key, copied, flip, sealift

MIB = 1 << 20
FILES = {"big.gguf": making.noise("spread", 20 * MIB), "config.json": b"{}"}
PACKS = [f"data-{number:04}.pack" for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spec")
    return making.weights_spec(folder, "spread", FILES, serial=1)


@pytest.fixture(scope="module")
def bundle(spec: Path, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    made = making.build(spec, key, out, "--part-size", "8MiB")
    assert sorted(path.name for path in made.glob("*.pack")) == PACKS
    return made


@pytest.fixture
def host(tmp_path: Path, bundle: Path) -> Host:
    root = tmp_path / "host"
    root.mkdir()
    return Host(root, bundle / PYZ, engine=NO_ENGINE)


def holds_the_model(host: Host) -> bool:
    """Say whether the audit is clean, and the tree on the host is the model."""
    host.run("audit").expect(0, "clean")
    status = host.run("status", "--json").facts
    tree = Path(status["bundles"][0]["models"]["tiny"])
    found = {path.name: path.read_bytes() for path in tree.iterdir()}
    return found == FILES


@pytest.fixture
def media(bundle: Path, tmp_path: Path) -> list[Path]:
    """Three media: the small files on the first two, one pack on each."""
    places = [tmp_path / "media" / name for name in ("usb1", "usb2", "usb3")]
    for number, place in enumerate(places):
        place.mkdir(parents=True)
        small = bundle.iterdir() if number < 2 else ()
        names = [path.name for path in small if path.suffix != ".pack"]
        for name in [*names, PACKS[number]]:
            shutil.copy(bundle / name, place)
    return places


# Several media


def test_packs_are_found_on_any_medium_in_any_order(host, key, media):
    shuffled = [media[2], media[0], media[1]]

    host.run("verify", *shuffled, "--key", key.public).expect(0, "good", "3 packs")
    host.run("install", *shuffled, "--key", key.public).expect(0)

    assert holds_the_model(host)
    verified = sealift("verify", *media, "--key", key.public, "--json").expect(0)
    assert verified.facts["ok"] is True


def test_a_bundle_in_a_folder_of_the_medium_is_found(host, key, bundle, tmp_path):
    medium = tmp_path / "usb"
    copied(bundle, medium)

    host.run("install", medium, "--key", key.public).expect(0)

    assert holds_the_model(host)


def test_a_medium_that_was_not_given_is_asked_for_by_its_pack(host, key, media):
    before = host.listing()

    outcome = host.run("install", media[0], media[2], "--key", key.public)

    outcome.expect(15, PACKS[1], str(media[0]), str(media[2]), "name every medium")
    assert host.listing() == before


def test_a_damaged_pack_is_named_with_the_medium_it_lies_on(host, key, media):
    flip(media[1] / PACKS[1])

    outcome = host.run("verify", *media, "--key", key.public)

    outcome.expect(12, f"{media[1]}/{PACKS[1]}", "bytes 0-8388608")


def test_a_damaged_list_on_one_medium_is_named_and_does_not_stop_an_install(
    host, key, media
):
    with (media[1] / "SHA256SUMS").open("ab") as sums:
        sums.write(b"\n")

    outcome = host.run("install", *media, "--key", key.public)

    outcome.expect(0, f"{media[1]}/SHA256SUMS does not verify", "is installed at")


# In one file


@pytest.fixture(scope="module")
def tar(spec: Path, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tar")
    return making.build(spec, key, out, "--part-size", "8MiB", "--tar")


def test_a_tar_is_installed_as_it_is(host, key, tar):
    host.run("verify", tar, "--key", key.public).expect(0, "good", "3 packs")
    host.run("install", tar, "--key", key.public).expect(0)

    assert holds_the_model(host)


def test_a_tar_holds_the_same_bundle_for_the_tools_of_the_host(tar, tmp_path):
    subprocess.run(["tar", "-xf", tar, "-C", tmp_path], check=True)
    check = ["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"]

    (folder,) = tmp_path.iterdir()

    assert folder.name == "spread-1.0.0"
    assert subprocess.run(check, cwd=folder).returncode == 0


def test_a_tar_that_was_cut_short_is_refused(host, key, tar, tmp_path):
    short = tmp_path / "short.tar"
    shutil.copy(tar, short)
    os.truncate(short, short.stat().st_size // 2)

    outcome = host.run("install", short, "--key", key.public)

    outcome.expect(15, f"{short} is not a whole Sealift tar", "Copy it")
    assert host.listing() == {}


def test_a_damaged_tar_names_pack_and_place(host, key, tar, tmp_path):
    bad = tmp_path / "bad.tar"
    shutil.copy(tar, bad)
    flip(bad, at=9 * MIB)

    outcome = host.run("verify", bad, "--key", key.public)

    outcome.expect(12, f"{bad}:spread-1.0.0/{PACKS[1]}", "big.gguf")


# Odd media


@pytest.fixture
def locked(bundle: Path, tmp_path: Path) -> Iterator[Path]:
    """The bundle on a medium that is mounted read-only."""
    if not hosts.is_root():
        pytest.skip("only root can mount")
    medium = copied(bundle, tmp_path / "medium")
    with making.read_only(medium):
        with pytest.raises(OSError, match="Read-only"):
            (medium / "new").touch()
        yield medium


def test_a_medium_that_cannot_be_written_is_enough(host, key, locked):
    before = making.listing(locked)
    own = host.but(pyz=locked / PYZ)

    own.run("verify", locked, "--key", key.public).expect(0, "good")
    own.run("install", locked, "--key", key.public).expect(0)

    assert holds_the_model(own)
    assert making.listing(locked) == before


@pytest.fixture
def public_place() -> Iterator[Path]:
    """A folder that other users may enter, unlike those of the other tests."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


def test_a_user_may_verify_what_only_root_may_install(key, bundle, public_place):
    if not hosts.is_root():
        pytest.skip("only root can become another user")
    medium = copied(bundle, public_place)
    shutil.copy(key.public, public_place)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command = [*nobody, "/usr/bin/python3", "-I", "-B", medium / PYZ]
    state = public_place / "state"
    places = ["--state-dir", state, "--config-dir", public_place / "config"]
    trust = ["--key", public_place / key.public.name]

    seen = making.run([*command, "verify", medium, *trust, *places])
    tried = making.run([*command, "install", medium, *trust, *places])

    seen.expect(0, "good")
    tried.expect(42, f"{state} cannot be written", "as root")
    assert not state.exists()


def test_what_other_systems_leave_on_a_medium_is_passed_over(
    host, key, bundle, tmp_path
):
    medium = copied(bundle, tmp_path / "usb")
    litter = {
        **{f"._{name}": b"\0\5\x16\7" for name in ("SHA256SUMS", *PACKS)},
        "._SHA256SUMS.release.sig": b"\0\5\x16\7",
        ".DS_Store": b"\0\0\0\1Bud1",
        "Thumbs.db": b"\xd0\xcf\x11\xe0",
        "desktop.ini": b"[.ShellClassInfo]",
        "System Volume Information/WPSettings.dat": b"\x0c",
        "$RECYCLE.BIN/desktop.ini": b"",
        ".Trashes/501/data-0001.pack": b"old",
        "SHA256SUMS (1)": b"",
        "data-0001 (1).pack": b"copy",
    }
    making.write_files(medium, litter)

    host.run("verify", medium, "--key", key.public).expect(0, "good")
    host.run("install", medium.parent, "--key", key.public).expect(0)

    assert holds_the_model(host)
    assert not [path for path in host.listing() if "Thumbs" in path or "._" in path]


# Without an engine


def test_a_file_that_nobody_signed_is_named_and_not_called_good(
    host, key, bundle, tmp_path
):
    medium = copied(bundle, tmp_path / "medium")
    making.write_files(medium, {"run-me-first.sh": b"rm -rf /"})

    theirs = host.run("verify", medium, "--key", key.public)
    ours = sealift("verify", medium, "--key", key.public)

    for outcome in (theirs, ours):
        outcome.expect(0, "not part of the bundle", "run-me-first.sh")


def test_weights_are_installed_audited_and_removed_where_no_engine_is(
    host, key, bundle
):
    host.run("install", bundle, "--key", key.public).expect(0, "20.0 MiB of weights")
    assert holds_the_model(host)
    again = host.run("install", bundle, "--json").expect(0)
    assert again.facts["changed"] is False
    host.run("start").expect(43, "has no stack", "status")

    host.run("uninstall", "--yes").expect(0, "0 images, 0 volumes, 20.0 MiB")

    kept = [path for path, what in host.listing().items() if what[0] != "d"]
    remembered = ["ledger.jsonl", "lock", "serials/spread"]
    assert kept == ["config/allowed_signers", *(f"state/{x}" for x in remembered)]


def test_installed_weights_are_settled_by_coreutils_alone(host, key, bundle):
    host.run("install", bundle, "--key", key.public).expect(0)
    release = host.state / "current" / "spread"
    status = host.run("status", "--json").facts
    tree = Path(status["bundles"][0]["models"]["tiny"])
    check = ["sha256sum", "-c", "--strict", "--quiet"]
    listed = [*check, release / "weights-tiny.sha256"]

    assert subprocess.run(listed, cwd=tree).returncode == 0
    own = [*check, "--ignore-missing", "SHA256SUMS"]
    assert subprocess.run(own, cwd=release).returncode == 0

    flip(tree / "big.gguf")
    assert subprocess.run(listed, cwd=tree, capture_output=True).returncode == 1


def test_the_same_inputs_make_the_same_bytes_but_for_the_signature(spec, key, tmp_path):
    epoch = {"SOURCE_DATE_EPOCH": "1790000000"}
    first, second = (
        making.build(spec, key, tmp_path / each, env=epoch) for each in "ab"
    )

    assert making.listing(first) == making.listing(second)
    manifest = json.loads((first / "manifest.json").read_bytes())
    digest = manifest["models"][0]["files"][0]["digest"]
    assert digest == "sha256:" + hashlib.sha256(FILES["big.gguf"]).hexdigest()
