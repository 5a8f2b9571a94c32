"""A damaged bundle, or a medium that holds something else, is refused and named."""

from __future__ import annotations

import os
import shutil

import making
import pytest
from making import PYZ, Host, flip
from shops import MIB

# Damage


SIGNED = {
    "SHA256SUMS": 13,
    "SHA256SUMS.release.sig": 13,
    "manifest.json": 12,
    "index.json": 12,
    "INSTALL.md": 12,
    "nvidia-tables.json": 12,
    "weights-tiny.sha256": 12,
    PYZ: 12,
    "data-0002.pack": 12,
}
"""A file of each kind that a bundle has, and the exit code when a bit of it flips."""


def test_the_list_of_files_to_damage_has_every_kind_of_file(shop):
    kinds = {name.replace("-0002", "-0001") for name in SIGNED}
    found = {p.name for p in shop.good.iterdir()}

    assert kinds == found - {f"data-{n:04}.pack" for n in range(2, 9)}


@pytest.mark.parametrize("name", SIGNED)
def test_one_flipped_bit_in_any_file_is_found_by_verify(refused, shop, bundle, name):
    flip(bundle / name)
    args = ["verify", bundle, "--key", shop.key.public]

    outcome = refused(SIGNED[name], "opy", args=args)

    assert name in outcome.said or name == "SHA256SUMS"


@pytest.mark.parametrize("name", [name for name in SIGNED if "pack" not in name])
def test_one_flipped_bit_in_a_small_file_keeps_an_install_from_starting(
    refused, shop, bundle, name
):
    flip(bundle / name)
    args = ["install", bundle, "--key", shop.key.public]

    outcome = refused(SIGNED[name], "opy", args=args)

    assert name in outcome.said or name == "SHA256SUMS"


def test_a_flipped_bit_in_a_pack_is_named_with_its_place(refused, shop, bundle):
    flip(bundle / "data-0002.pack", at=5)

    outcome = refused(
        12,
        f"{bundle}/data-0002.pack",
        "model tiny: big.gguf",
        args=["verify", bundle, "--key", shop.key.public],
    )

    assert "bytes 0-8388608" in outcome.said


def test_a_flipped_bit_in_a_pack_stops_an_install_that_a_good_copy_finishes(
    host, shop, bundle, engine
):
    good = (bundle / "data-0002.pack").read_bytes()
    flip(bundle / "data-0002.pack", at=5)

    stopped = host.run("install", bundle, "--key", shop.key.public)

    stopped.expect(12, f"{bundle}/data-0002.pack", "bytes 0-8388608", "Copy")
    assert nothing_half_done(host)
    assert making.in_engine(engine, shop.name)["volumes"] == []

    (bundle / "data-0002.pack").write_bytes(good)
    host.run("install", bundle, "--key", shop.key.public).expect(0, "is installed at")
    host.run("audit").expect(0, "clean")


def test_a_missing_pack_is_named_before_anything_is_staged(refused, shop, bundle):
    (bundle / "data-0003.pack").unlink()
    args = [bundle, "--key", shop.key.public]

    refused(15, "data-0003.pack", str(bundle), args=["verify", *args])
    refused(15, "data-0003.pack", str(bundle), args=["install", *args])


def test_a_truncated_pack_is_named_before_anything_is_staged(refused, shop, bundle):
    os.truncate(bundle / "data-0002.pack", 5 * MIB)
    args = [bundle, "--key", shop.key.public]

    refused(12, "data-0002.pack: has 5242880 bytes", args=["verify", *args])
    refused(12, "data-0002.pack: has 5242880 bytes", args=["install", *args])


def test_swapped_packs_are_told_as_what_they_are(refused, shop, bundle):
    (bundle / "data-0001.pack").rename(bundle / "kept")
    (bundle / "data-0002.pack").rename(bundle / "data-0001.pack")
    (bundle / "kept").rename(bundle / "data-0002.pack")
    args = ["verify", bundle, "--key", shop.key.public]

    refused(12, "data-0001.pack: holds the bytes of data-0002.pack", args=args)


def test_swapped_packs_are_not_installed(host, shop, bundle):
    shutil.copy(shop.good / "data-0001.pack", bundle / "data-0002.pack")

    outcome = host.run("install", bundle, "--key", shop.key.public)

    outcome.expect(12, "data-0002.pack", "is not what was signed")
    assert nothing_half_done(host)


def nothing_half_done(host: Host) -> bool:
    """Say whether there is no release, no tree and no file that is not whole.

    Only the ledger says that an install was begun; what is good is kept.
    """
    left = [path for path, what in host.listing().items() if what[0] != "d"]
    kept = ("state/ledger.jsonl", "state/lock", "state/store/sha256/", "state/journal/")
    wrong = [path for path in left if not path.startswith(kept)]
    for path in (host.state / "store").rglob("*"):
        digest = making.listing(path.parent)[path.name].rpartition(":")[2]
        wrong += [str(path)] if path.is_file() and digest != path.name else []
    return not wrong and [line["event"] for line in host.ledger()] == ["install-begun"]


# Media


def test_a_link_in_place_of_a_pack_is_not_followed(refused, shop, bundle):
    pack = bundle / "data-0002.pack"
    pack.unlink()
    pack.symlink_to(shop.good / "data-0002.pack")
    args = [bundle, "--key", shop.key.public]

    refused(15, "data-0002.pack", args=["verify", *args])
    refused(15, "data-0002.pack", args=["install", *args])


def test_a_fifo_in_place_of_a_pack_does_not_hang_the_installer(refused, shop, bundle):
    pack = bundle / "data-0002.pack"
    pack.unlink()
    os.mkfifo(pack)
    args = [bundle, "--key", shop.key.public]

    refused(15, "data-0002.pack", args=["verify", *args])
    refused(15, "data-0002.pack", args=["install", *args])


def test_a_fifo_in_place_of_a_bundle_does_not_hang_the_installer(
    refused, shop, tmp_path
):
    fifo = tmp_path / "bundle.tar"
    os.mkfifo(fifo)
    args = ["verify", fifo, "--key", shop.key.public]

    refused(15, f"{fifo} is not a regular file", args=args)


def test_a_directory_that_is_no_bundle_is_refused(refused, shop, tmp_path):
    folder = making.write_files(tmp_path / "photos", {"cat.jpg": b"meow"})
    args = ["install", folder, "--key", shop.key.public]

    refused(15, "no Sealift bundle", str(folder), args=args)


def test_a_place_that_is_not_there_is_refused(refused, shop, tmp_path):
    args = ["install", tmp_path / "usb", "--key", shop.key.public]

    refused(15, f"{tmp_path / 'usb'} cannot be opened", "mounted", args=args)


def test_media_of_two_bundles_are_not_mixed(refused, shop):
    args = ["install", shop.older, shop.newer, "--key", shop.key.public]

    refused(15, "different bundles", str(shop.older), str(shop.newer), args=args)
