"""Laws of going back, pruning and removing: cut off anywhere, nothing is lost.

A child of this process does the work, and dies at each change of a file system in turn.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import making
import pytest
from dying import cut_off, run
from making import PYZ, Key
from sealift_installer import durable
from sealift_installer.layout import Layout
from sealift_installer.standing import Standing, standing_of


@dataclass(frozen=True)
class Site:
    """A host with versions 1, 2 and 3 installed one after the other, and bundles."""

    host: Path
    bundles: dict[str, Path]

    def copy(self, place: Path) -> None:
        """Put a copy of the host there."""
        shutil.copytree(self.host, place, symlinks=True, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    # The names of one file stay names of one file, as they are for a tree.
    status = os.lstat(source)
    root = Path(target)
    if status.st_nlink == 1:
        shutil.copy2(source, target)
        return
    while root.name != "state":
        root = root.parent
    first = root.parent / f"inode-{status.st_ino}"
    if not first.exists():
        shutil.copy2(source, first)
    os.link(first, target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Site:
    root = tmp_path_factory.mktemp("releases")
    bundles = {}
    for version in ("1", "2", "3"):
        files = making.model_files(version) | {"same.dat": b"same"}
        spec = making.weights_spec(
            root / version, "acme", files, version=version, serial=int(version)
        )
        bundles[version] = making.build(spec, key, root / "out")
        done = run(root / "host", "install", bundles[version], "--key", key.public)
        assert done == 0
    return Site(root / "host", bundles)


def standing(host: Path) -> Standing:
    return standing_of(Layout(str(host / "state"), str(host / "config")), "acme")


def versions(host: Path) -> tuple[str, str]:
    """Return the versions of the release in use and of the one before it."""
    found = standing(host)
    assert found.current and found.previous
    return found.current.manifest.version, found.previous.manifest.version


def events(host: Path) -> list[tuple[str, str]]:
    lines = (host / "state" / "ledger.jsonl").read_text().splitlines()
    return [(e["event"], e.get("version", "")) for e in map(json.loads, lines)]


def test_a_rollback_cut_off_anywhere_is_done_or_not_begun(site, tmp_path):
    seen = set()

    for host in cut_off(site.copy, tmp_path, ["rollback"]):
        seen.add(versions(host))
        assert run(host, "audit") == 0
        shutil.rmtree(host)

    # The release before is always known, and toggles.
    assert seen == {("3", "2"), ("2", "3")}


def test_an_upgrade_cut_off_anywhere_knows_the_release_before(site, tmp_path):
    assert run(site.host, "status") == 0
    seen = set()

    def copy(place: Path) -> None:
        site.copy(place)
        assert run(place, "rollback", "--to", "1") == 0

    for host in cut_off(copy, tmp_path, ["install", site.bundles["3"]]):
        seen.add(versions(host))
        shutil.rmtree(host)

    assert seen == {("1", "3"), ("3", "1")}


@pytest.mark.parametrize(
    "words",
    [["prune", "--yes"], ["uninstall", "--release", "1", "--yes"]],
    ids=lambda words: words[0],
)
def test_a_removal_cut_off_anywhere_spares_the_others_and_is_finished(
    site, tmp_path, words
):
    count = 0

    for host in cut_off(site.copy, tmp_path, words):
        count += 1
        assert versions(host) == ("3", "2")
        assert run(host, "audit") == 0
        # 45: nothing but the name of what had been put aside was left.
        assert run(host, *words) in (0, 45)
        assert run(host, "prune", "--yes") == 0
        assert_only_two_left(host)
        shutil.rmtree(host)

    assert count > 10, "a removal changes more than that"


def assert_only_two_left(host: Path) -> None:
    """Releases 3 and 2 are whole, and nothing else is there."""
    names = [path.name[:2] for path in (host / "state/releases/acme").iterdir()]
    assert sorted(names) == ["2-", "3-"]
    assert len(list((host / "state/volumes/tiny").iterdir())) == 2
    # Two files of each release, and one that both have.
    stored = [p for p in (host / "state/store").rglob("*") if p.is_file()]
    assert len(stored) == 5
    assert run(host, "rollback") == 0


def test_what_a_killed_removal_leaves_half_is_never_the_release_before(site, tmp_path):
    words = ["uninstall", "--release", "2", "--yes"]
    seen = set()

    for host in cut_off(site.copy, tmp_path, words):
        found = standing(host).previous
        assert found
        seen.add(found.manifest.version)
        if found.manifest.version == "2":
            assert run(host, "rollback") == 0
        shutil.rmtree(host)

    assert seen == {"2", "1"}


@pytest.fixture
def damaged(site):
    """Put a copy of the host there whose release in use lacks a file."""

    def copy(place: Path) -> None:
        site.copy(place)
        (next((place / "state/releases/acme").glob("3-*")) / "INSTALL.md").unlink()

    return copy


def is_in_use(host: Path) -> bool:
    return (host / "state/current/acme" / PYZ).exists()


def test_a_repair_cut_off_anywhere_leaves_a_release_in_use(site, damaged, tmp_path):
    words = ["install", site.bundles["3"], "--repair"]

    for host in cut_off(damaged, tmp_path, words):
        assert is_in_use(host)
        assert run(host, *words) == 0
        assert run(host, "audit") == 0
        shutil.rmtree(host)


def test_where_names_cannot_be_exchanged_a_repair_has_one_moment_without(
    site, damaged, tmp_path, monkeypatch
):
    monkeypatch.setattr(durable, "exchange", lambda one, other: False)
    words = ["install", site.bundles["3"], "--repair"]
    missing = 0

    for host in cut_off(damaged, tmp_path, words):
        if not is_in_use(host):
            missing += 1
            assert run(host, *words) == 0
            assert is_in_use(host)
        shutil.rmtree(host)

    assert missing == 1
