"""A secret that is there and of no use is told before a start, never made anew."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sealift_installer.host import Host
from sealift_installer.site import Site, site_of
from sealift_installer.site_changes import settle_site, settle_to_start
from sealift_installer.site_secrets import sendable
from sealift_manifests.errors import SettingsError
from sealift_manifests.model import Manifest
from sealift_manifests.settings import Secret
from volume_engine import VolumeEngine, a_host

KEY, TOKEN = Secret("api-key", 32), Secret("token")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return a_host(tmp_path, VolumeEngine())


@pytest.fixture
def folder(host: Host) -> Path:
    folder = Path(host.layout.secrets("acme"))
    folder.mkdir(parents=True)
    (folder / "token").write_text("brought")
    return folder


def a_manifest() -> Manifest:
    stack = SimpleNamespace(leaves_open=True, settings=(), secrets=(KEY, TOKEN))
    made = SimpleNamespace(name="acme", version="1", stack=stack)
    return cast(Any, made)


def settled(host: Host) -> Site:
    return settle_site(host, a_manifest(), {})


def refused(host: Host, match: str) -> None:
    with pytest.raises(SettingsError, match=match) as told:
        settled(host).require()
    assert "Mount what a link leads to" in told.value.hint
    assert "--generate api-key" in told.value.hint


def test_a_secret_is_sent_without_the_end_of_its_line(host, folder):
    (folder / "token").write_text("two words\r\n")

    assert sendable(host.layout, "acme", "token") == "two words"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is not there"),
        (b"", "is not one line"),
        (b"a\nb\n", "is not one line of plain text"),
        ("schl\u00fcssel".encode(), "is not one line of plain text"),
    ],
)
def test_what_no_header_can_have_is_told_and_not_sent(host, folder, content, why):
    (folder / "token").unlink()
    if content is not None:
        (folder / "token").write_bytes(content)

    with pytest.raises(SettingsError, match="sends the secret token") as told:
        sendable(host.layout, "acme", "token")

    assert f"{folder}/token {why}" in told.value.message
    assert "settings acme --secret token" in told.value.hint


def test_a_secret_that_is_not_there_is_made_and_stays(host, folder):
    settled(host).require()
    made = (folder / "api-key").read_text()
    settled(host).require()

    assert len(made) == 32
    assert (folder / "api-key").read_text() == made


def test_a_link_into_a_store_that_is_not_mounted_stays(host, folder, tmp_path):
    (folder / "api-key").symlink_to(tmp_path / "store/key")

    refused(host, f"api-key: .* leads to {tmp_path}/store/key, which is not there")

    assert (folder / "api-key").is_symlink()
    (tmp_path / "store").mkdir()
    (tmp_path / "store/key").write_text("the site's")
    settled(host).require()
    assert (folder / "api-key").is_symlink()


@pytest.mark.parametrize("is_above", [False, True])
def test_so_does_a_link_in_place_of_a_directory_of_secrets(host, tmp_path, is_above):
    place = Path(host.layout.secrets("acme"))
    place = place.parent if is_above else place
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / "store")

    refused(host, "store, which is not there")

    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_is_no_secret_and_is_not_written_over(host, folder, content):
    (folder / "api-key").write_text(content)

    refused(host, "api-key: .* is empty")

    assert (folder / "api-key").read_text() == content


def test_what_is_no_file_is_told(host, folder):
    (folder / "api-key").mkdir()

    refused(host, "cannot be read: Is a directory")


def test_a_secret_that_cannot_be_read_is_told_and_left(host, folder, monkeypatch):
    (folder / "api-key").write_text("the site's")
    real = os.open

    def denied(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith("api-key"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", denied)
        refused(host, "api-key cannot be read: Permission denied")

    assert (folder / "api-key").read_text() == "the site's"


def test_nothing_is_started_and_nobody_asked_for_a_broken_secret(host, folder):
    (folder / "api-key").write_text("made")
    (folder / "token").write_text("")

    site = settle_to_start(host, a_manifest(), {})

    assert site.asked == ()
    with pytest.raises(SettingsError, match=r"token: .* is empty"):
        site_of(host.layout, a_manifest()).require()
