"""What somebody did to an installed host by hand is seen, and cannot be hidden.

Everything here is done below the installer's own directories, as root could, with no
engine: the bundles carry weights only, but where a test says otherwise.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key
from sealift_installer import ledger
from sealift_installer.layout import Layout
from sealift_manifests.digests import digest_of
from sealift_manifests.sums import SUMS_NAME


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    folder = tmp_path_factory.mktemp("older")
    spec = making.weights_spec(folder, "acme", serial=1)
    return making.build(spec, key, folder / "out")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    folder = tmp_path_factory.mktemp("newer")
    spec = making.weights_spec(folder, "acme", making.model_files("b"), serial=5)
    return making.build(spec, key, folder / "out")


@pytest.fixture
def host(tmp_path: Path, bundle: Path, key: Key) -> Host:
    host = Host(tmp_path / "host", bundle / PYZ, NO_ENGINE)
    host.run("install", bundle, "--key", key.public).expect(0)
    return host


def release_of(host: Host) -> Path:
    return (host.state / "current" / "acme").resolve()


def rewrite(path: Path, **changes: object) -> None:
    path.chmod(0o644)
    making.changed_json(path, lambda value: value.update(changes))


def test_the_audit_sees_a_file_laid_beside_the_signed_ones(host: Host):
    (release_of(host) / ".env").write_text("VLLM_ARGS=--trust-remote-code\n")

    outcome = host.run("audit")

    outcome.expect(50, "extra: release", ".env")


def test_the_audit_refuses_another_signed_release_in_the_place_of_the_installed_one(
    host: Host, older: Path, key: Key
):
    host.run("install", older, "--allow-downgrade", "to have both").expect(0)
    here = release_of(host)
    (other,) = [path for path in here.parent.iterdir() if path != here]
    shutil.rmtree(here)
    shutil.copytree(other, here)

    outcome = host.run("audit")

    outcome.expect(50, "is not the release that was installed there")


def test_an_edited_record_ends_an_audit_with_a_verdict_not_with_a_traceback(host: Host):
    rewrite(release_of(host) / "release.json", installed="yesterday")

    outcome = host.run("audit")

    outcome.expect(50, "no time of its install")
    assert "Traceback" not in outcome.said


def test_an_edited_record_cannot_keep_the_engine_out_of_the_audit(
    tmp_path: Path, bundle: Path
):
    golden = Path(making.__file__).parent / "golden"
    host = Host(tmp_path / "host", bundle / PYZ, NO_ENGINE)
    manifest = json.loads((golden / "bundle-v1" / "manifest.json").read_bytes())
    root = digest_of((golden / "bundle-v1" / SUMS_NAME).read_bytes())
    release = host.state / "releases" / manifest["name"]
    release /= f"{manifest['version']}-{root.short}"
    shutil.copytree(
        golden / "bundle-v1", release, ignore=shutil.ignore_patterns("*.pack")
    )
    record = {
        "bundle": manifest["name"],
        "version": manifest["version"],
        "serial": manifest["serial"],
        "root": root,
        "signed_by": [],
        "installed": manifest["created"],
        "engine": {},
    }
    making.write_files(release, {"release.json": json.dumps(record)})
    current = host.state / "current" / manifest["name"]
    current.parent.mkdir()
    current.symlink_to(release)

    outcome = host.run("audit", "--key", golden / "golden-ed25519.pub")

    outcome.expect(40, "no engine")


def test_a_ledger_cut_off_by_a_power_cut_is_continued(host: Host):
    path = host.state / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + b'{"bundle":"acme","event":"au')

    host.run("status").expect(0, "acme 1.0.0")
    host.run("audit").expect(0)

    outcome = host.run("status").expect(0, "clean")
    assert "was changed" not in outcome.said
    events = [line["event"] for line in host.ledger()]
    assert events == ["install-begun", "install", "audit"]


def test_the_last_audit_of_the_release_before_is_not_said_of_this_one(
    host: Host, older: Path
):
    host.run("audit").expect(0)
    before = host.run("status", "--json").facts["bundles"][0]

    host.run("install", older, "--allow-downgrade", "a test").expect(0)
    after = host.run("status", "--json").facts["bundles"][0]

    assert before["last_audit_clean"] is True
    assert after["last_audit"] is None


def test_a_ledger_line_that_was_changed_is_told_and_hides_nothing_else(host: Host):
    path = host.state / "ledger.jsonl"
    path.write_bytes(b"{]\n" + path.read_bytes())

    outcome = host.run("status")

    outcome.expect(0, "acme 1.0.0", "was changed: line 1")


def test_lines_written_at_the_same_time_follow_each_other(host: Host):
    layout = Layout(str(host.state), str(host.config))
    now = datetime(2026, 11, 1, tzinfo=UTC)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ledger.append(layout, "audit", now, n=n), range(200)))

    data = (host.state / "ledger.jsonl").read_bytes()
    assert data.count(b"\n") == 202
    assert ledger.first_broken_line(data) == 0


def test_a_reason_in_another_encoding_leaves_the_ledger_readable(
    host: Host, older: Path
):
    reason = os.fsdecode(b"zur\xfcck")

    host.run("install", older, "--allow-downgrade", reason).expect(0)

    assert "was changed" not in host.run("status").expect(0).said
    assert host.ledger()[-1]["downgrade_reason"] == "zur\\xfcck"


def tree_of(host: Host) -> Path:
    return next((host.state / "volumes" / "tiny").iterdir())


def a_folder_for_a_file(host: Host) -> None:
    (tree_of(host) / "config.json").unlink()
    making.write_files(tree_of(host) / "config.json", {"x.py": b"import evil"})


def a_link_to_another_tree(host: Host) -> None:
    tree = tree_of(host)
    shutil.move(tree, host.root / "elsewhere")
    tree.symlink_to(host.root / "elsewhere")


def a_file_that_all_may_write(host: Host) -> None:
    (tree_of(host) / "model.safetensors").chmod(0o666)


def a_record_of_nothing(host: Host) -> None:
    path = release_of(host) / "release.json"
    path.chmod(0o644)
    path.write_text("{}")


def a_record_without_a_time(host: Host) -> None:
    rewrite(release_of(host) / "release.json", installed="never")


def a_fifo_for_the_manifest(host: Host) -> None:
    (release_of(host) / "manifest.json").unlink()
    os.mkfifo(release_of(host) / "manifest.json")


@pytest.mark.parametrize(
    "harm",
    [
        a_folder_for_a_file,
        a_link_to_another_tree,
        a_file_that_all_may_write,
        a_record_of_nothing,
        a_record_without_a_time,
        a_fifo_for_the_manifest,
    ],
)
def test_what_an_audit_finds_a_repair_mends(
    host: Host, bundle: Path, harm: Callable[[Host], None]
):
    harm(host)

    found = host.run("audit")
    repaired = host.run("install", bundle, "--repair")

    assert found.code not in (0, 1), found.said
    repaired.expect(0)
    host.run("audit").expect(0, "clean")


def test_what_somebody_left_in_the_journal_is_cleared(host: Host, bundle: Path):
    making.write_files(host.state / "journal" / "folder", {"x": b"x"})
    shutil.rmtree(host.state / "store")

    outcome = host.run("install", bundle, "--repair")

    outcome.expect(0)
    assert list((host.state / "journal").iterdir()) == []
