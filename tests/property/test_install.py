"""Laws of an install: a second does nothing, and one that is killed can be finished.

What a crash at each single change leaves is in `test_install_crashes`.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from interrupted import Bundles, installer, leftovers, run, two_bundles
from making import PYZ, a_key, build, noise, weights_spec
from mixed import mixed_model


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return two_bundles(tmp_path_factory.mktemp("laws-of-install"))


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
