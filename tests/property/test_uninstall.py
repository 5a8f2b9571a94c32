"""A law of an uninstall: cut off anywhere it is finished by running it again.

A child of this process does the work, and dies at each change of a file system in turn.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import making
import pytest
from dying import KILLED, run
from making import Key


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    folder = tmp_path_factory.mktemp("gone")
    files = {**making.model_files("gone"), "a/b.txt": b"b", "a/c/d.txt": b"d"}
    spec = making.weights_spec(folder, "gone", files, serial=1)
    return making.build(spec, key, folder / "out")


def files_below(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, bundle: Path, key: Key) -> Path:
    root = tmp_path_factory.mktemp("installed")
    assert run(root, "install", bundle, "--key", key.public) == 0
    return root


def test_an_uninstall_cut_off_anywhere_is_finished_by_running_it_again(
    installed, tmp_path
):
    words = ["uninstall", "--yes"]
    remembered = {"lock", "ledger.jsonl", "serials/gone"}

    for at in range(1000):
        host = tmp_path / str(at)
        shutil.copytree(installed, host, symlinks=True)
        code = run(host, *words, die_at=at)
        if code != KILLED:
            break
        # 45: all was gone but for the names of what had been put aside.
        assert run(host, *words) in (0, 45)
        left = {name for name in files_below(host / "state") if ".gone/" not in name}
        assert left == remembered
        shutil.rmtree(host)

    assert code == 0
    assert at > 20, "an uninstall changes more than that"
    assert files_below(host / "state") == remembered


def test_an_uninstall_cut_off_anywhere_leaves_nothing_that_an_install_trusts_in_part(
    installed, bundle, tmp_path
):
    for at in range(1000):
        host = tmp_path / str(at)
        shutil.copytree(installed, host, symlinks=True)
        if run(host, "uninstall", "--yes", die_at=at) != KILLED:
            break
        assert run(host, "install", bundle) == 0
        assert run(host, "audit") == 0
        shutil.rmtree(host)

    assert at > 20, "an uninstall changes more than that"


def test_no_path_is_a_name_of_a_bundle(installed):
    before = files_below(installed)

    assert run(installed, "uninstall", "../releases/gone", "--yes") == 45
    assert run(installed, "uninstall", ".", "--yes") == 45
    assert run(installed, "uninstall", "..", "--yes", "--settings") == 45

    assert files_below(installed) == before
