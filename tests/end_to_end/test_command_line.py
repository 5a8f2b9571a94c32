"""What `sealift` says when it is used wrongly, stopped, or asked by a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from making import SEALIFT, run
from sealift_manifests.sizes import counted

SPEC = """
sealift: 1
name: said
version: "1"
platform: linux/amd64
models:
  tiny: {path: ./model}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A directory with a spec, a model and a key that needs no passphrase."""
    (tmp_path / "sealift.yaml").write_text(SPEC)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    made = run([SEALIFT, "keygen", "release.key", "--no-passphrase"], cwd=tmp_path)
    made.expect(0)
    return tmp_path


def test_no_passphrase_without_a_terminal_is_told_and_is_no_fault_of_ours(
    tmp_path: Path,
) -> None:
    outcome = run([SEALIFT, "keygen", "release.key"], cwd=tmp_path)

    outcome.expect(28, "no passphrase was given", "--no-passphrase")


def test_a_public_key_to_sign_with_is_told_apart_from_an_open_private_one(
    shop: Path,
) -> None:
    build = [SEALIFT, "build", "sealift.yaml", "--sign-key"]

    public = run([*build, "release.key.pub"], cwd=shop)
    (shop / "release.key").chmod(0o644)
    private = run([*build, "release.key"], cwd=shop)

    public.expect(28, "is not an OpenSSH private key")
    private.expect(28, "can be read by others", "chmod 600")


def test_locked_and_update_do_not_go_together(shop: Path) -> None:
    words = ["build", "sealift.yaml", "--sign-key", "release.key"]

    outcome = run([SEALIFT, *words, "--locked", "--update"], cwd=shop)

    outcome.expect(2, "--locked", "--update")


def test_with_json_a_failure_is_json_too(tmp_path: Path) -> None:
    outcome = run([SEALIFT, "verify", "nowhere", "--json"], cwd=tmp_path)

    assert outcome.code == 15
    assert json.loads(outcome.out)["error"]["slug"] == "payload-unreadable"
    assert outcome.err == ""


def test_a_summary_names_the_key_that_the_operator_must_hear_of(shop: Path) -> None:
    words = ["build", "sealift.yaml", "--sign-key", "release.key", "-o", "out"]

    outcome = run([SEALIFT, *words], cwd=shop)

    listed = run(["ssh-keygen", "-lf", "release.key.pub"], cwd=shop)
    fingerprint = listed.out.split()[1]
    outcome.expect(0, f"signed by  {fingerprint} release", "in 1 pack,")


def test_things_are_counted_as_people_do() -> None:
    assert [counted(1, "pack"), counted(2, "pack")] == ["1 pack", "2 packs"]
