"""Nothing on a medium, and no option, decides whom a host trusts and what is newer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key
from sealift_installer import host as hosts
from sealift_installer.engine import Engine
from sealift_installer.host_trust import KeyFile, NamedKeys
from sealift_installer.install import InstallOptions, install
from sealift_installer.layout import Layout
from sealift_installer.report import Report
from sealift_manifests.errors import DowngradeError, UntrustedKeyError


@dataclass(frozen=True)
class Shop:
    """Two bundles of one name; the second, older one has a signer of its own."""

    new: Path
    old: Path
    key: Key
    other: Key


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    root = tmp_path_factory.mktemp("shop")
    key, other = making.a_key(root / "release"), making.a_key(root / "other")
    new = making.weights_spec(root / "new", "acme", serial=5, version="5")
    old = making.weights_spec(root / "old", "acme", serial=3, version="3")
    return Shop(
        making.build(new, key, root / "out"),
        making.build(old, other, root / "out"),
        key,
        other,
    )


@pytest.fixture
def host(tmp_path: Path, shop: Shop) -> Host:
    return Host(tmp_path / "host", shop.new / PYZ, NO_ENGINE)


def test_a_renamed_signature_file_cannot_spoil_the_list_of_trusted_keys(
    host: Host, shop: Shop, tmp_path: Path
):
    medium = making.copied(shop.new, tmp_path / "medium")
    (medium / "SHA256SUMS.release.sig").rename(medium / "SHA256SUMS.sig")
    host.run("install", medium, "--key", shop.key.public).expect(0)

    outcome = host.run("audit")

    outcome.expect(0, "clean")


@pytest.mark.parametrize("held", ["", "# nobody any more\n"])
def test_options_cannot_fill_a_list_that_trusts_nobody(
    host: Host, shop: Shop, held: str
):
    making.write_files(host.config, {"allowed_signers": held})

    outcome = host.run("install", shop.new, "--key", shop.key.public)

    outcome.expect(11, "decides whom this host trusts")


def test_a_start_trusts_no_key_that_the_host_has_struck_from_its_list(
    host: Host, shop: Shop
):
    host.run("install", shop.new, "--key", shop.key.public).expect(0)
    making.write_files(host.config, {"allowed_signers": "# struck\n"})

    outcome = host.run("start", "--key", shop.key.public)

    outcome.expect(11, "decides whom this host trusts")


@dataclass(frozen=True)
class OvertakenHost(hosts.Host):
    """A host on which something happens just before the lock is taken."""

    meanwhile: Callable[[], object] = print

    def locked(self) -> AbstractContextManager[None]:
        self.meanwhile()
        return super().locked()


def overtaken(host: Host, meanwhile: Callable[[], object]) -> OvertakenHost:
    layout = Layout(str(host.state), str(host.config))
    engine, report = Engine(NO_ENGINE), Report(as_json=True)
    return OvertakenHost(layout, engine, report, meanwhile=meanwhile)


def test_an_older_bundle_is_refused_when_a_newer_one_overtook_it(
    host: Host, shop: Shop
):
    lines = [f"us {key.public.read_text()}" for key in (shop.key, shop.other)]
    making.write_files(host.root, {"signers": "".join(lines)})
    signers = host.root / "signers"
    named = NamedKeys(allowed_signers=(KeyFile.read(str(signers)),))
    options = ["--allowed-signers", signers]
    late = overtaken(host, lambda: host.run("install", shop.new, *options).expect(0))

    with pytest.raises(DowngradeError):
        install(late, [str(shop.old)], InstallOptions(named))


def test_the_first_key_is_the_only_first_key_also_when_two_installs_race(
    host: Host, shop: Shop
):
    named = NamedKeys(key_files=(KeyFile.read(str(shop.key.public)),))
    first = shop.other.public
    late = overtaken(host, lambda: host.run("install", shop.old, "--key", first))

    with pytest.raises(UntrustedKeyError):
        install(late, [str(shop.new)], InstallOptions(named))


def test_the_keys_that_are_kept_are_those_that_were_read_first(host: Host, shop: Shop):
    making.write_files(host.root, {"signers": f"us {shop.key.public.read_text()}"})
    named = NamedKeys(allowed_signers=(KeyFile.read(str(host.root / "signers")),))
    swap = {"signers": f"us {shop.other.public.read_text()}"}
    late = overtaken(host, lambda: making.write_files(host.root, swap))

    install(late, [str(shop.new)], InstallOptions(named))

    kept = (host.config / "allowed_signers").read_text()
    assert kept == f"us {shop.key.public.read_text()}"


@pytest.mark.parametrize("left", [None, 1])
def test_what_is_in_use_counts_when_its_serial_is_not_written_down(
    host: Host, shop: Shop, left: int | None
):
    lines = [f"us {key.public.read_text()}" for key in (shop.key, shop.other)]
    making.write_files(host.root, {"signers": "".join(lines)})
    signers = ["--allowed-signers", host.root / "signers"]
    host.run("install", shop.new, *signers).expect(0)
    kept = host.state / "serials" / "acme"
    if left is None:
        kept.unlink()
    else:
        making.changed_json(kept, lambda value: value.update(serial=left))

    outcome = host.run("install", shop.old)

    outcome.expect(17, "(3)", "(5)")
