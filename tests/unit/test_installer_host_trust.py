"""Whom a host trusts: the keys named at first, from then on its own list."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sealift_installer.host_trust import (
    KeyFile,
    NamedKeys,
    remember,
    trust_to_install,
    trust_to_verify,
)
from sealift_installer.layout import Layout
from sealift_manifests.bundle import open_bundle
from sealift_manifests.errors import TrustStoreError, UntrustedKeyError
from sealift_manifests.media import Media
from sealift_manifests.sshsig import parse_public_key

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
ED25519, P384 = (GOLDEN / f"golden-{kind}.pub" for kind in ("ed25519", "p384"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(str(tmp_path / "state"), str(tmp_path / "config"))


def by_file(path: Path) -> NamedKeys:
    return NamedKeys(key_files=(KeyFile.read(str(path)),))


def by_fingerprint(path: Path) -> NamedKeys:
    return NamedKeys(fingerprints=(fingerprint(path),))


def fingerprint(path: Path) -> str:
    return parse_public_key(path.read_text()).fingerprint


def install(layout: Layout, named: NamedKeys) -> list[str]:
    """Do what an install does about trust; return the keys it accepted."""
    trust = trust_to_install(layout, named)
    with Media([str(GOLDEN / "bundle-v1")]) as media:
        bundle = open_bundle(media, trust, datetime(2026, 2, 1, tzinfo=UTC))
    remember(layout, named, bundle.accepted)
    return [one.key.fingerprint for one in bundle.accepted]


def test_a_host_without_keys_trusts_nobody(layout):
    assert trust_to_verify(layout, NamedKeys()).is_empty
    with pytest.raises(UntrustedKeyError, match="trusts no key yet"):
        install(layout, NamedKeys())


@pytest.mark.parametrize("named", [by_file, by_fingerprint])
def test_the_first_key_is_remembered_and_needs_not_be_named_again(layout, named):
    first = install(layout, named(ED25519))

    assert first == install(layout, NamedKeys()) == [fingerprint(ED25519)]
    assert 'namespaces="sealift-bundle@v1"' in Path(layout.allowed_signers).read_text()


@pytest.mark.parametrize("named", [by_file, by_fingerprint])
def test_an_option_cannot_widen_the_list_of_the_host(layout, named):
    install(layout, by_file(ED25519))
    before = Path(layout.allowed_signers).read_text()

    with pytest.raises(UntrustedKeyError, match=r"does not list SHA256:"):
        install(layout, named(P384))

    assert Path(layout.allowed_signers).read_text() == before
    assert install(layout, named(ED25519)) == [fingerprint(ED25519)]


def test_a_list_that_the_host_has_already_is_not_written_over(layout):
    Path(layout.config).mkdir()
    text = f"release {P384.read_text()}"
    Path(layout.allowed_signers).write_text(text)

    install(layout, NamedKeys())

    assert Path(layout.allowed_signers).read_text() == text


def test_a_list_without_a_usable_key_is_a_list_too(layout):
    Path(layout.config).mkdir()
    Path(layout.allowed_signers).write_text("# nobody\n")

    with pytest.raises(UntrustedKeyError):
        install(layout, by_file(ED25519))


def test_the_policy_of_the_host_holds_for_named_keys_too(layout):
    Path(layout.config).mkdir()
    Path(layout.policy).write_text('{"threshold": 2}\n')

    with pytest.raises(UntrustedKeyError, match="2 trusted keys"):
        install(layout, by_file(ED25519))


def test_a_key_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrustStoreError, match=r"gone\.pub"):
        KeyFile.read(str(tmp_path / "gone.pub"))
