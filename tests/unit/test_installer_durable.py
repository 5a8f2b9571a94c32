"""Two names change places in one step, where the file system can do that."""

from __future__ import annotations

import os
from pathlib import Path

from sealift_installer import durable


def folders(root: Path) -> tuple[Path, Path]:
    for name in ("old", "new"):
        (root / name).mkdir()
        (root / name / name).write_text(name)
    return root / "old", root / "new"


def test_two_directories_change_places(tmp_path):
    old, new = folders(tmp_path)

    assert durable.exchange(str(new), str(old))

    assert (os.listdir(old), os.listdir(new)) == (["new"], ["old"])


def test_what_is_not_there_is_not_exchanged(tmp_path):
    old, _ = folders(tmp_path)

    assert not durable.exchange(str(tmp_path / "none"), str(old))

    assert os.listdir(old) == ["old"]


def test_a_directory_is_replaced_in_one_step_and_the_old_one_goes(
    tmp_path, monkeypatch
):
    old, new = folders(tmp_path)
    monkeypatch.setattr(os, "rename", None)

    durable.replace_directory(str(old), str(new))

    assert (os.listdir(tmp_path), os.listdir(old)) == (["old"], ["new"])


def test_where_names_cannot_be_exchanged_a_directory_is_replaced_all_the_same(
    tmp_path, monkeypatch
):
    old, new = folders(tmp_path)
    monkeypatch.setattr(durable, "exchange", lambda one, other: False)

    durable.replace_directory(str(old), str(new))

    assert (os.listdir(tmp_path), os.listdir(old)) == (["old"], ["new"])
