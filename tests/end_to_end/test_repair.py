"""A bad medium is mended without a second trip: request, patch, install.

Weights only, so the host needs no engine: none is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key, Outcome, copied, flip, sealift
from sealift_manifests.digests import digest_of
from sealift_manifests.trust import NAMESPACE

MIB = 1 << 20
FILES = {"big.gguf": making.noise("repair", 20 * MIB), "config.json": b"{}"}
PACKS = [f"data-{number:04}.pack" for number in range(1, 4)]


@dataclass(frozen=True)
class Shop:
    """A bundle as directory and as tar, another one, the key, a stranger's key."""

    good: Path
    tar: Path
    other: Path
    key: Key
    stranger: Key

    def trust(self) -> list[str | Path]:
        return ["--key", self.key.public]

    def repair(self, *words: str | Path, key: Key | None = None) -> Outcome:
        """Run `sealift repair`, signing with the bundle's key by default."""
        signer = key or self.key
        return sealift("repair", *words, "--sign-key", signer.private, *self.trust())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Shop:
    root = tmp_path_factory.mktemp("repair")
    spec = making.weights_spec(root / "s", "acme", FILES, serial=1)
    other = making.weights_spec(root / "o", "acme", serial=1, version="2.0.0")
    epoch = {"SOURCE_DATE_EPOCH": "1790000000"}
    parts = ["--part-size", "8MiB"]
    return Shop(
        good=making.build(spec, key, root / "out", *parts, env=epoch),
        tar=making.build(spec, key, root / "tar", *parts, "--tar", env=epoch),
        other=making.build(other, key, root / "out"),
        key=key,
        stranger=making.a_key(root / "stranger"),
    )


@pytest.fixture
def host(tmp_path: Path, shop: Shop) -> Host:
    return Host(tmp_path / "host", shop.good / PYZ, NO_ENGINE)


@pytest.fixture
def medium(tmp_path: Path, shop: Shop) -> Path:
    """A copy of the bundle to damage."""
    (tmp_path / "usb").mkdir()
    return copied(shop.good, tmp_path / "usb")


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    return tmp_path / "request.json"


def made_patch(
    shop: Shop, request: Path, folder: Path, *options: str, key: Key | None = None
) -> Path:
    words = [shop.good, request, "-o", folder, *options]
    shop.repair(*words, key=key).expect(0, "read back")
    (patch,) = folder.iterdir()
    return patch


@dataclass(frozen=True)
class Patched:
    """A medium with a bad pack, the request for it, and the patch that mends it."""

    medium: Path
    request: Path
    patch: Path


@pytest.fixture(scope="module")
def patched(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Patched:
    folder = tmp_path_factory.mktemp("patched")
    host = Host(folder / "host", shop.good / PYZ, NO_ENGINE)
    medium, request = copied(shop.good, folder), folder / "request.json"
    flip(medium / PACKS[0])
    host.run("repair-request", medium, "-o", request, *shop.trust()).expect(0)
    assert host.listing() == {}  # It changes nothing on the host.
    return Patched(medium, request, made_patch(shop, request, folder / "patches"))


def is_installed_whole(host: Host) -> bool:
    host.run("audit").expect(0, "clean")
    tree = Path(host.run("status", "--json").facts["bundles"][0]["models"]["tiny"])
    return {path.name: path.read_bytes() for path in tree.iterdir()} == FILES


# Copies


def test_two_sets_that_are_damaged_in_different_places_make_one_good_install(
    host, shop, medium, tmp_path
):
    second = copied(shop.good, tmp_path / "second")
    flip(medium / PACKS[0])
    flip(medium / "INSTALL.md")
    os.truncate(second / PACKS[2], 5)
    (second / "weights-tiny.sha256").unlink()
    media = ["--media", medium, "--media", second, *shop.trust()]

    for outcome in (host.run("verify", *media), sealift("verify", *media)):
        outcome.expect(
            0,
            f"{medium}: packs 2-3, 7 small files good",
            f"{second}: packs 1-2, 7 small files good",
            "good, all copies taken together",
            f"WARNING: {medium}, {second}: not all",
        )
    host.run("install", *media).expect(0)
    assert is_installed_whole(host)


def test_a_tar_that_was_cut_short_gives_what_it_has_beside_another_medium(
    host, shop, medium, tmp_path
):
    (tmp_path / "tar").mkdir()
    tar = Path(shutil.copy(shop.tar, tmp_path / "tar"))
    os.truncate(tar, 9 * MIB)
    (medium / PACKS[0]).unlink()

    seen = host.run("verify", medium, tar, *shop.trust())
    done = host.run("install", medium, tar, *shop.trust())

    seen.expect(0, "is not a whole Sealift tar", f"{tar}: pack 1 good", "WARNING")
    done.expect(0, "set aside", "is not a whole Sealift tar")
    assert is_installed_whole(host)


def test_one_medium_by_itself_is_good_when_what_it_has_is_good(host, shop, medium):
    for name in PACKS[1:]:
        (medium / name).unlink()
    args = [medium, *shop.trust(), "--ignore-missing"]

    for outcome in (host.run("verify", *args), sealift("verify", *args)):
        outcome.expect(
            0, f"{medium}: pack 1", "the rest is elsewhere", ", ".join(PACKS[1:])
        )
    host.run("verify", medium, *shop.trust()).expect(15, PACKS[1])
    flip(medium / PACKS[0])
    host.run("verify", *args).expect(12, f"{medium}/{PACKS[0]}")


def test_a_place_must_be_said(host):
    for command in ("verify", "install", "repair-request"):
        host.run(command).expect(2, "where the bundle lies")
    sealift("verify").expect(2, "where the bundle lies")


# From request to install


def test_a_damaged_medium_is_mended_with_a_patch_of_just_the_lost_chunks(
    host, shop, medium, request_file, tmp_path
):
    flip(medium / PACKS[1])
    (medium / PACKS[2]).unlink()
    flip(medium / "INSTALL.md")

    asked = host.run("repair-request", medium, "-o", request_file, *shop.trust())
    asked.expect(0, "3 chunks, 12.0 MiB and INSTALL.md", "sealift repair BUNDLE")
    assert request_file.stat().st_size < 1000
    patch = made_patch(shop, request_file, tmp_path / "patches")

    assert sum(path.stat().st_size for path in patch.iterdir()) < 12 * MIB + 10_000
    seen = host.run("verify", medium, patch, *shop.trust())
    seen.expect(0, f"{patch}: a patch of 3 chunks", "came from a patch")
    host.run("install", medium, patch, *shop.trust()).expect(0)
    assert is_installed_whole(host)


def test_what_an_install_has_left_on_the_disk_is_not_asked_for(
    host, shop, medium, request_file, tmp_path
):
    flip(medium / PACKS[0])
    host.run("install", medium, *shop.trust()).expect(12, PACKS[0])
    (medium / PACKS[2]).unlink()
    words = ["repair-request", medium, "-o", request_file, *shop.trust()]
    host.run(*words).expect(0, "asks for 1 chunk,")

    (journal,) = (host.state / "journal").glob("*[0-9a-f]")
    kept = journal.read_bytes()
    journal.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    host.run(*words).expect(0, "asks for 2 chunks,")  # What is left is measured.

    patch = made_patch(shop, request_file, tmp_path / "patches")
    host.run("install", medium, patch, *shop.trust()).expect(0)
    assert is_installed_whole(host)


def test_when_every_pack_is_lost_the_patch_brings_them_all(
    host, shop, medium, request_file, tmp_path
):
    for name in PACKS:
        (medium / name).unlink()
    host.run("repair-request", medium, "-o", request_file, *shop.trust()).expect(0)

    patch = made_patch(shop, request_file, tmp_path / "patches", "--part-size", "16MiB")

    packs = sorted(patch.glob("*.pack"))
    assert [path.name for path in packs] == [f"patch-{n:04}.pack" for n in (1, 2)]
    assert all(path.stat().st_size <= 16 * MIB for path in packs)
    host.run("install", "--media", patch, "--media", medium, *shop.trust()).expect(0)
    assert is_installed_whole(host)


def test_a_damaged_tar_is_mended_and_the_good_bundle_may_be_a_tar(
    host, shop, request_file, tmp_path
):
    (tmp_path / "tar").mkdir()
    tar = Path(shutil.copy(shop.tar, tmp_path / "tar"))
    flip(tar, at=10 * MIB)
    host.run("repair-request", tar, "-o", request_file, *shop.trust()).expect(0)

    shop.repair(shop.tar, request_file, "-o", tmp_path / "p").expect(0, "1 chunk")

    (patch,) = (tmp_path / "p").iterdir()
    host.run("install", tar, patch, *shop.trust()).expect(0)
    assert is_installed_whole(host)


def test_nothing_is_asked_for_when_nothing_is_missing(host, shop, medium, request_file):
    args = ["repair-request", medium, "-o", request_file, *shop.trust()]
    host.run(*args).expect(0, "nothing is missing")
    host.run("install", medium, *shop.trust()).expect(0)
    for name in (*PACKS, "INSTALL.md"):
        flip(medium / name)

    # What the store has, no medium must have.
    outcome = host.run(*args, "--json").expect(0)

    assert outcome.facts["needed"] is False
    assert not request_file.exists()


def test_host_tools_alone_settle_a_patch(host, shop, patched, tmp_path):
    signers = making.write_files(tmp_path / "etc", {}) / "allowed_signers"
    signers.write_text(
        f'release namespaces="{NAMESPACE}" {shop.key.public.read_text()}'
    )
    names = ["-f", signers, "-I", "release", "-n", NAMESPACE]
    verify = ["ssh-keygen", "-Y", "verify", *names, "-s", "SHA256SUMS.release.sig"]
    check = ["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"]

    sums = (patched.patch / "SHA256SUMS").read_bytes()
    settled = subprocess.run(verify, input=sums, cwd=patched.patch, capture_output=True)

    assert settled.returncode == 0, settled.stderr
    assert subprocess.run(check, cwd=patched.patch).returncode == 0
    listed = {line[66:] for line in sums.decode().splitlines()}
    present = {path.name for path in patched.patch.iterdir()}
    assert present - listed == {"SHA256SUMS", "SHA256SUMS.release.sig"}


# What is refused


def test_a_request_for_another_root_is_refused_with_both_named(shop, patched, tmp_path):
    sums = [(path / "SHA256SUMS").read_bytes() for path in (shop.good, shop.other)]

    outcome = shop.repair(shop.other, patched.request, "-o", tmp_path / "p")

    outcome.expect(15, *(digest_of(data).short for data in sums), "another one")
    assert not (tmp_path / "p").exists()


def test_a_bundle_whose_signer_is_not_trusted_is_no_source_of_a_patch(
    shop, patched, tmp_path
):
    words = ["repair", shop.good, patched.request, "-o", tmp_path / "p"]

    outcome = sealift(*words, "--sign-key", shop.stranger.private)

    outcome.expect(11)


def test_a_patch_signed_by_a_stranger_is_refused_and_named(
    host, shop, patched, tmp_path
):
    patch = made_patch(shop, patched.request, tmp_path / "p", key=shop.stranger)
    args = [patched.medium, patch, *shop.trust()]
    before = host.listing()

    host.run("install", *args).expect(
        11, f"the patch {patch}: the patch was not signed"
    )

    assert host.listing() == before


def test_a_patch_whose_bytes_are_changed_mends_nothing_and_is_named(
    host, shop, patched, tmp_path
):
    patch = Path(shutil.copytree(patched.patch, tmp_path / "patch"))
    flip(patch / "patch-0001.pack", at=5)
    args = [patched.medium, patch, *shop.trust()]

    seen = host.run("verify", *args)

    seen.expect(12, f"{patch}/patch-0001.pack", "bytes 0-8388608", PACKS[0])
    host.run("install", *args).expect(12, PACKS[0])


def test_a_patch_alone_is_no_bundle(host, shop, patched):
    outcome = host.run("verify", patched.patch, *shop.trust())

    outcome.expect(15, f"{patched.patch} holds a patch, and no bundle")
