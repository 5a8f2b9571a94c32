"""What is wrong with a bundle, its medium or the host is refused, and nothing changes.

Each test runs the real installer on a real engine, and compares the host before and
after: every file below its directories, and everything of its name in the engine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import making
import pytest
from engines import busybox_layer, unique
from making import NO_ENGINE, PYZ, Host, Key, Outcome, changed_json, copied, flip
from registries import make_image, make_layer, running_registry
from sealift_manifests.digests import Digest
from sealift_manifests.names import volume_name
from sealift_manifests.paths import MAX_PATH

MIB = 1 << 20


@dataclass(frozen=True)
class Shop:
    """Bundles of one name, the key they are signed with, and one nobody trusts.

    `good` carries three packs of weights and an image; `older` and `newer` are small,
    with a lower and a higher serial, and need no engine.
    """

    name: str
    good: Path
    older: Path
    newer: Path
    key: Key
    stranger: Key

    @property
    def pyz(self) -> Path:
        """The installer that came with the bundle."""
        return self.good / PYZ

    @property
    def reference(self) -> str:
        """What the image of `good` is called on a host."""
        manifest = json.loads((self.good / "manifest.json").read_bytes())
        reference: str = manifest["images"][0]["reference"]
        return reference


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    name = unique("bad")
    key, stranger = making.a_key(folder / "release"), making.a_key(folder / "stranger")
    layers = [make_layer({"about": name.encode()})]
    with running_registry(making.write_files(folder / "registry", {})) as registry:
        registry.push_image(f"{name}:1", make_image(layers))
        spec = making.weights_spec(
            folder / "good",
            name,
            {"big.gguf": making.noise(name, 20 * MIB), "config.json": b"{}"},
            serial=2,
            images={"web": {"pull": f"{registry.host}/{name}:1"}},
        )
        insecure = ("--insecure-registry", registry.host)
        out = folder / "out"
        good = making.build(spec, key, out, "--part-size", "8MiB", *insecure)
    others = [
        making.build(
            making.weights_spec(folder / f"s{n}", name, version=f"{n}", serial=n),
            key,
            out,
        )
        for n in (1, 3)
    ]
    yield Shop(name, good, *others, key, stranger)


@pytest.fixture
def host(tmp_path: Path, shop: Shop, engine: hosts.Engine) -> Iterator[Host]:
    root = tmp_path / "host"
    root.mkdir()
    yield Host(root, shop.pyz)
    making.clear_engine(engine, shop.name)


@pytest.fixture
def bundle(tmp_path: Path, shop: Shop) -> Path:
    """A copy of the good bundle, to spoil."""
    return copied(shop.good, tmp_path / "medium")


@pytest.fixture
def refused(host: Host, shop: Shop, engine: hosts.Engine) -> Any:
    """Run a command that must fail, and see that it changed nothing."""

    def attempt(code: int, *words: str, args: list[Any], on: Host = host) -> Outcome:
        before = host.listing(), making.in_engine(engine, shop.name)
        outcome = on.run(*args)
        outcome.expect(code, f"exit code {code}]", *words)
        assert "Traceback" not in outcome.said
        assert (host.listing(), making.in_engine(engine, shop.name)) == before
        return outcome

    return attempt


# Trust


def test_a_bundle_of_a_key_that_was_not_named_is_refused(refused, shop, bundle):
    args = ["install", bundle, "--key", shop.stranger.public]

    refused(11, shop.key.fingerprint, "another way", args=args)


def test_without_any_key_nothing_is_installed(refused, bundle):
    refused(11, "trusts no key yet", "--fingerprint", args=["install", bundle])


def test_a_key_that_lies_in_the_bundle_is_not_trusted_for_it(refused, shop, bundle):
    shutil.copy(shop.key.public, bundle / "release.pub")
    making.write_files(
        bundle, {"allowed_signers": f"release {shop.key.public.read_text()}"}
    )

    refused(11, "trusts no key yet", args=["install", bundle])


def test_a_fingerprint_that_came_by_another_way_is_enough(host, shop, bundle):
    outcome = host.run("install", bundle, "--fingerprint", shop.key.fingerprint)

    outcome.expect(0, "is installed at")
    assert (
        shop.key.public.read_text().split()[1]
        in (host.config / "allowed_signers").read_text()
    ), "the first install settles whom the host trusts"


def test_a_host_that_has_its_list_trusts_no_other_key_by_option(refused, host, shop):
    bare = host.but(engine=NO_ENGINE)
    bare.run("install", shop.older, "--key", shop.key.public).expect(0)
    args = ["install", shop.newer, "--key", shop.stranger.public]

    refused(11, str(host.config / "allowed_signers"), args=args, on=bare)


def test_a_bundle_without_a_signature_is_refused(refused, shop, bundle):
    for signature in bundle.glob("*.sig"):
        signature.unlink()
    args = ["install", bundle, "--key", shop.key.public]

    refused(13, "no signature file", "Copy the bundle", args=args)


def test_the_signature_of_another_bundle_is_refused(refused, shop, bundle):
    shutil.copy(shop.newer / "SHA256SUMS.release.sig", bundle)
    args = ["install", bundle, "--key", shop.key.public]

    refused(13, "SHA256SUMS.release.sig", "does not match", args=args)


def test_a_bundle_signed_anew_by_a_stranger_is_refused(refused, shop, bundle):
    changed_json(bundle / "manifest.json", lambda m: m.update(serial=9))
    making.resign(bundle, shop.stranger)
    args = ["install", bundle, "--key", shop.key.public]

    refused(11, shop.stranger.fingerprint, args=args)


# Damage


SIGNED = {
    "SHA256SUMS": 13,
    "SHA256SUMS.release.sig": 13,
    "manifest.json": 12,
    "index.json": 12,
    "INSTALL.md": 12,
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

    stopped.expect(12, f"{bundle}/data-0002.pack: bytes 0 to 8388608", "Copy that")
    assert nothing_half_done(host)
    assert not any(making.in_engine(engine, shop.name).values())

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

    outcome.expect(12, "data-0002.pack", "are not what was signed")
    assert nothing_half_done(host)


def nothing_half_done(host: Host) -> bool:
    """Say whether there is no release, no tree and no file that is not whole."""
    left = [path for path, what in host.listing().items() if what[0] != "d"]
    kept = ("state/lock", "state/store/sha256/")
    wrong = [path for path in left if not path.startswith(kept)]
    for path in (host.state / "store").rglob("*"):
        digest = making.listing(path.parent)[path.name].rpartition(":")[2]
        wrong += [str(path)] if path.is_file() and digest != path.name else []
    return not wrong


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


# What a signer may not ask for


def _file(**changes: Any) -> Any:
    def change(manifest: dict[str, Any]) -> None:
        manifest["models"][0]["files"][0].update(changes)

    return change


def _second(path: str) -> Any:
    def change(manifest: dict[str, Any]) -> None:
        files = manifest["models"][0]["files"]
        files.append({**files[0], "path": path})

    return change


HOSTILE = {
    "a path out of its tree": (_file(path="../../etc/cron.d/x"), 16, "'..'"),
    "a path out through a folder": (_file(path="a/../../x"), 16, "'..'"),
    "an absolute path": (_file(path="/etc/passwd"), 16, "/etc/passwd"),
    "a backslash": (_file(path="..\\x"), 16, "backslash"),
    "a NUL": (_file(path="a\0b"), 16, "control character"),
    "an escape sequence": (_file(path="a\x1b[2Jb"), 16, "control character"),
    "an empty part": (_file(path="a//b"), 16, "empty"),
    "a name too long": (_file(path="a/" * (MAX_PATH // 2) + "b"), 16, "longer"),
    "names that differ in case": (_second("CONFIG.JSON"), 16, "one name"),
    "names that differ in form": (_second("\uff43onfig.json"), 16, "one name"),
    "a file that is a folder too": (_second("config.json/x"), 16, "to be a directory"),
    "a model name out of its place": (
        lambda m: m["models"][0].update(name="../x"),
        10,
        "bad model name",
    ),
    "a version out of its place": (lambda m: m.update(version="../1"), 10, "version"),
    "an unknown field": (lambda m: m.update(surprise=1), 10, "surprise"),
    "an unknown field of a file": (_file(mode=0o4755), 10, "'mode'"),
    "an unknown format": (lambda m: m.update(format=2), 14, "format 2"),
    "an unknown feature": (lambda m: m.update(features=["warp"]), 14, "warp"),
    "a size that is not so": (_file(size=1), 10, "config.json"),
    "a file that no pack holds": (
        _file(digest="sha256:" + 64 * "0"),
        10,
        "config.json",
    ),
}
"""Changes of a manifest, each signed with the trusted key, and how they are refused."""


@pytest.mark.parametrize("what", HOSTILE)
def test_a_trusted_signature_on_a_bad_manifest_is_no_excuse(
    refused, shop, host, tmp_path, what
):
    change, code, word = HOSTILE[what]
    bundle = copied(shop.older, tmp_path)
    changed_json(bundle / "manifest.json", change)
    making.resign(bundle, shop.key)
    args = ["install", bundle, "--key", shop.key.public]

    outcome = refused(code, word, args=args, on=host.but(engine=NO_ENGINE))

    assert "\x1b" not in outcome.said, "a name must not work on the terminal"


@pytest.mark.parametrize("name", ["manifest.json", "index.json"])
def test_a_key_given_twice_in_a_signed_document_is_refused(
    refused, shop, host, tmp_path, name
):
    bundle = copied(shop.older, tmp_path)
    text = (bundle / name).read_text()
    (bundle / name).write_text(text.replace('"format":', '"format":1,"format":', 1))
    making.resign(bundle, shop.key)
    args = ["install", bundle, "--key", shop.key.public]

    refused(10, name, "same key twice", args=args, on=host.but(engine=NO_ENGINE))


# The host


def test_a_lower_serial_is_refused(refused, host, shop):
    bare = host.but(engine=NO_ENGINE)
    bare.run("install", shop.newer, "--key", shop.key.public).expect(0)

    refused(
        17, "(1)", "(3)", "--allow-downgrade", args=["install", shop.older], on=bare
    )


def test_another_bundle_with_the_same_serial_is_refused(refused, host, shop, tmp_path):
    bare = host.but(engine=NO_ENGINE)
    bare.run("install", shop.newer, "--key", shop.key.public).expect(0)
    other = copied(shop.newer, tmp_path)
    changed_json(other / "manifest.json", lambda m: m.update(builder="another"))
    making.resign(other, shop.key)
    args = ["install", other]

    refused(17, "the same serial (3)", "is not that bundle", args=args, on=bare)


def test_a_full_disk_is_told_before_anything_is_written(host, shop, engine):
    with making.small_disk(host.state, "10m"):
        before = host.listing()
        outcome = host.run("install", shop.good, "--key", shop.key.public)

        outcome.expect(30, str(host.state), "10.0 MiB free", "Free that much")
        assert re.search(r"24\.\d MiB are needed .*: 14\.\d MiB short", outcome.err)
        assert host.listing() == before
        assert not any(making.in_engine(engine, shop.name).values())


def test_a_disk_that_fills_up_meanwhile_leaves_the_old_release_as_it_was(
    host, shop, tmp_path
):
    bare = host.but(engine=NO_ENGINE)
    bare.run("install", shop.older, "--key", shop.key.public).expect(0)
    before = host.listing()
    files = {"a.gguf": making.noise("much", 20 * MIB)}
    spec = making.weights_spec(tmp_path / "big", shop.name, files, version="2.0")
    bundle = making.build(spec, shop.key, tmp_path)

    # Room is measured for the state directory; the files pass through the journal.
    with making.small_disk(host.state / "journal", "10m"):
        outcome = bare.run("install", bundle)

        outcome.expect(42, str(host.state), "became full", "Make room")
        assert not list((host.state / "journal").iterdir())
    assert host.listing() == before

    bare.run("install", bundle).expect(0, "is installed at")
    bare.run("audit").expect(0, "clean: ", " 2.0,")


def test_a_bundle_with_images_needs_an_engine_that_answers(refused, host, shop):
    args = ["install", shop.good, "--key", shop.key.public]

    refused(40, NO_ENGINE, args=args, on=host.but(engine=NO_ENGINE))


def test_an_image_name_that_means_another_image_is_left_alone(
    refused, shop, engine, tmp_path
):
    making.write_files(tmp_path, {"layer.tar": busybox_layer()})
    engine.run("import", str(tmp_path / "layer.tar"), shop.reference)
    args = ["install", shop.good, "--key", shop.key.public]

    refused(41, shop.reference, f"docker rmi {shop.reference}", args=args)


def test_a_volume_name_that_leads_elsewhere_is_left_alone(host, shop, engine):
    manifest = json.loads((shop.good / "manifest.json").read_bytes())
    tree = Digest(manifest["models"][0]["tree"])
    name = volume_name(shop.name, "tiny", tree)
    engine.run("volume", "create", name)

    outcome = host.run("install", shop.good, "--key", shop.key.public)

    outcome.expect(42, name, f"docker volume rm {name}")
    assert engine.text("volume", "inspect", "-f", "{{.Options}}", name) == "map[]"
    assert not (host.state / "current").exists()
