"""Names on a medium that nobody signed are not let loose on the operator."""

from __future__ import annotations

from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key

SEIZE = "\x1b]0;seized\x07\u202e"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    folder = tmp_path_factory.mktemp("media")
    spec = making.weights_spec(folder, "acme", serial=1)
    return making.build(spec, key, folder / "out")


@pytest.fixture
def host(tmp_path: Path, bundle: Path) -> Host:
    return Host(tmp_path / "host", bundle / PYZ, NO_ENGINE)


@pytest.mark.parametrize("name", [f"bundle{SEIZE}", "bundle\ngood: acme 1.0.0"])
def test_a_folder_on_a_medium_cannot_speak_for_the_installer(
    host: Host, bundle: Path, key: Key, tmp_path: Path, name: str
):
    medium = tmp_path / "medium"
    medium.mkdir()
    making.copied(bundle, medium).rename(medium / name)
    making.flip(medium / name / "manifest.json")

    outcome = host.run("verify", medium, "--key", key.public)

    outcome.expect(15, "there is no Sealift bundle in")
    assert not set("\x1b\x07\u202e") & set(outcome.said)
    assert "\ngood" not in outcome.said


def test_what_is_printed_cannot_steer_a_terminal(
    host: Host, bundle: Path, key: Key, tmp_path: Path
):
    folder = tmp_path / f"stick{SEIZE}"
    folder.mkdir()
    medium = making.copied(bundle, folder)
    making.flip(medium / "manifest.json")

    outcome = host.run("verify", medium, "--key", key.public)

    outcome.expect(12, "is not the file that was signed", "\\x1b]0;seized\\x07\\u202e")
    assert not set("\x1b\x07\u202e") & set(outcome.said)
