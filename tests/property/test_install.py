"""Laws of an install: cut off anywhere it is finished by running it again.

Children of this process are made to die in the middle of their work, each at another
change that they make to the file system; and the real command is really killed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from making import (
    NO_ENGINE,
    PYZ,
    a_key,
    build,
    listing,
    model_files,
    noise,
    weights_spec,
)
from mixed import mixed_model
from sealift_installer.cli import main
from sealift_installer.ledger import first_broken_line

KILLED = 77
CHANGES = (
    *("chmod", "fchmod", "fsync", "link", "mkdir", "rename", "replace", "rmdir"),
    *("symlink", "unlink", "write"),
)
"""The functions of `os` by which the installer changes the host."""
LAST = 24
"""Changes from the switch of the release on, and some before."""


@dataclass(frozen=True)
class Bundles:
    """Two releases of one bundle that share some files, and who signed them."""

    old: Path
    new: Path
    key: Path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    root = tmp_path_factory.mktemp("laws-of-install")
    key = a_key(root / "release")
    old = weights_spec(root / "old", "laws", model_files("old"), version="1", serial=1)
    files = {**model_files("old"), **mixed_model(500)}
    new = weights_spec(root / "new", "laws", files, version="2", serial=2)
    return Bundles(
        build(old, key, root / "out"), build(new, key, root / "out"), key.public
    )


def installer(root: Path, *words: str | Path) -> list[str]:
    """Return the arguments of the installer for the host below `root`."""
    places = ["--state-dir", root / "state", "--config-dir", root / "config"]
    options = [*places, "--engine", NO_ENGINE, "--json"]
    return [str(word) for word in (*words, *options)]


def in_a_child(work: Callable[[], int]) -> int:
    """Do this in a child process, quietly; return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def run(root: Path, *words: str | Path) -> int:
    """Run the installer to its end."""
    return in_a_child(lambda: main(installer(root, *words)))


def run_and_die(root: Path, words: Sequence[str | Path], at: int) -> int:
    """Run the installer, and die instead of making change number `at`.

    Of a write, half is done. Returns KILLED, or how it ended if it made fewer.
    """
    return in_a_child(lambda: _dying(at, installer(root, *words)))


def _dying(at: int, arguments: list[str]) -> int:
    left = at
    for name in CHANGES:
        real = getattr(os, name)

        def change(*args, _real=real, _name=name, **options):
            nonlocal left
            left -= 1
            if left < 0:
                if _name == "write":
                    _real(args[0], memoryview(args[1])[: len(args[1]) // 2])
                os._exit(KILLED)
            return _real(*args, **options)

        setattr(os, name, change)
    return main(arguments)


def leftovers(root: Path) -> list[str]:
    """Return names on the host that a finished install does not leave."""
    return [
        name
        for name in listing(root)
        if name.endswith((".partial", ".new", ".old")) or "journal/" in name
    ]


def cut_off(root: Path, pristine: Path, words: Sequence[str | Path]) -> Iterator[Path]:
    """Yield a copy of the host for each place at which the command was cut off.

    The last changes, from the switch on, are all tried; of those before, every sixth.
    """
    host = root / "host"
    least, most = 0, 1000
    while least < most:
        middle = (least + most) // 2
        _fresh(host, pristine)
        if run_and_die(host, words, middle) == KILLED:
            least = middle + 1
        else:
            most = middle
    assert least > 60, "the command makes more changes than that"
    for at in (*range(0, least - LAST, 6), *range(least - LAST, least)):
        _fresh(host, pristine)
        assert run_and_die(host, words, at) == KILLED
        yield host


def _fresh(host: Path, pristine: Path) -> None:
    shutil.rmtree(host, ignore_errors=True)
    subprocess.run(["cp", "-a", pristine, host], check=True)


def expect_finished(host: Path, words: Sequence[str | Path], version: str) -> None:
    """Run the same command again; expect all that a whole install leaves."""
    assert run(host, *words) == 0
    assert run(host, "audit") == 0
    (current,) = (host / "state/current").iterdir()
    assert current.resolve().name.startswith(f"{version}-")
    assert (host / "state/serials/laws").exists()
    assert (host / "config/allowed_signers").exists()
    ledger = (host / "state/ledger.jsonl").read_bytes()
    assert first_broken_line(ledger) == 0
    done = [(e["event"], e["version"]) for e in map(json.loads, ledger.splitlines())]
    assert ("install", version) in done
    assert leftovers(host) == []


def test_a_first_install_cut_off_anywhere_is_finished_by_running_it_again(
    bundles, tmp_path
):
    words = ["install", bundles.old, "--key", bundles.key]
    (tmp_path / "pristine").mkdir()

    for host in cut_off(tmp_path, tmp_path / "pristine", words):
        expect_finished(host, words, "1")


def test_an_upgrade_cut_off_anywhere_leaves_the_old_or_the_new_and_can_be_finished(
    bundles, tmp_path
):
    pristine, words = tmp_path / "pristine", ["install", bundles.new]
    assert run(pristine, "install", bundles.old, "--key", bundles.key) == 0

    seen = set()
    for host in cut_off(tmp_path, pristine, words):
        seen.add((host / "state/current/laws").resolve().name[:2])
        assert run(host, "audit") == 0
        expect_finished(host, words, "2")

    assert seen == {"1-", "2-"}


def test_a_second_install_does_nothing_at_all(bundles, tmp_path):
    words = ["install", bundles.old, "--key", bundles.key]
    assert run(tmp_path, *words) == 0
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}

    again = run(tmp_path, *words)

    after = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert (again, after) == (0, before)


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle that takes a moment to install, and the key that signed it."""
    root = tmp_path_factory.mktemp("larger")
    key = a_key(root / "release")
    files = mixed_model(600_000) | {f"{n}.dat": noise(f"{n}", 99_000) for n in range(9)}
    return build(weights_spec(root, "laws", files), key, root / "out"), key.public


def test_a_command_that_is_really_killed_ten_times_is_finished_by_the_last(
    larger, tmp_path
):
    bundle, key = larger
    words = installer(tmp_path, "install", bundle, "--key", key)
    command = [sys.executable, "-I", "-B", str(bundle / PYZ), *words]
    at_random, killed = random.Random(10), 0

    for _ in range(10):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        # The interpreter itself takes most of the first tenth of a second to start.
        time.sleep(at_random.uniform(0.08, 0.4))
        process.kill()
        killed += process.wait() == -signal.SIGKILL

    assert killed > 0
    assert run(tmp_path, "install", bundle, "--key", key) == 0
    assert run(tmp_path, "audit") == 0
    assert leftovers(tmp_path) == []
