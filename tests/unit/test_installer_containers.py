"""What a container has mounted, whatever name it has it by."""

from __future__ import annotations

from pathlib import Path

import pytest
from sealift_installer.containers import Container


def mounting(*places: Path) -> Container:
    return Container(
        *("id", "c", True, "", "", frozenset(), frozenset()), tuple(map(str, places))
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "state/volumes/tiny/abc"
    tree.mkdir(parents=True)
    (tree / "config.json").write_text("{}")
    (tree.parent / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "state/volumes")
    return tree


@pytest.mark.parametrize(
    ("place", "mounted"),
    [
        ("state/volumes/tiny/abc", True),
        ("state/volumes/tiny/abc/config.json", True),
        ("state/volumes/tiny", True),
        ("state", True),
        ("link/tiny/abc", True),
        ("link", True),
        ("state/volumes/tiny/other", False),
        ("state/volumes/tiny/ab", False),
        (".", False),
        ("/", False),
        ("nowhere", False),
    ],
)
def test_a_directory_is_mounted_by_it_by_what_is_in_it_and_by_what_is_around_it(
    tmp_path, tree, place, mounted
):
    container = mounting(tmp_path / "elsewhere", tmp_path / place)

    assert container.mounts(str(tree), str(tmp_path / "state")) is mounted


def test_the_state_directory_may_itself_have_two_names(tmp_path, tree):
    (tmp_path / "srv").symlink_to(tmp_path / "state")

    here = tmp_path / "srv/volumes/tiny/abc"

    assert mounting(tree).mounts(str(here), str(tmp_path / "srv"))
    assert mounting(here).mounts(str(tree), str(tmp_path / "state"))


def test_what_is_not_there_is_mounted_by_nobody(tmp_path, tree):
    gone = tmp_path / "state/volumes/gone"

    assert not mounting(tree, gone).mounts(str(gone), str(tmp_path / "state"))
