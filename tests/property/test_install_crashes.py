"""Laws of an install on a disk that dies, fills up or fails: nothing torn, none lost.

Each change that the installer makes to the file system is one at which it may end. The
disk then holds all that was written, or only what was synced; see `power`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from interrupted import (
    Bundles,
    expect_finished,
    in_a_child,
    installer,
    run,
    two_bundles,
)
from power import DIED, Disk, Fault, Left
from sealift_installer import shelf, staging
from sealift_installer.cli import main

WRITE_FAILED, NOT_INSTALLED = 42, 45
STEP = 13
"""Without the slow tests, every so-manieth change is one at which it ends."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return two_bundles(tmp_path_factory.mktemp("crashes"))


@dataclass(frozen=True)
class Ended:
    """A host on whose disk an install ended early, and how it did."""

    host: Path
    code: int
    at: int


@dataclass(frozen=True)
class Trial:
    """A command on copies of one host, with one kind of fault."""

    folder: Path
    pristine: Path
    words: Sequence[str | Path]
    fault: Fault

    def ends(self, left: Left, first: int, step: int) -> Iterator[Ended]:
        """Yield the host after the fault came at every `step`-th change.

        Ends when the command does not come so far.
        """
        for at in count(first, step):
            host, crashed = self.folder / "host", self.folder / "crashed"
            for folder in (host, crashed):
                shutil.rmtree(folder, ignore_errors=True)
            subprocess.run(["cp", "-a", self.pristine, host], check=True)
            code = in_a_child(partial(self._run, host, crashed, left, at))
            if code == 0:
                assert at > 25, "the command makes more changes than that"
                return
            yield Ended(host if left is Left.ALL else crashed, code, at)

    def _run(self, host: Path, crashed: Path, left: Left, at: int) -> int:
        # Small files of few chunks stand for large ones: each chunk is kept at once.
        shelf.CHECKPOINT = staging.CHECKPOINT = 1
        disk = Disk(host, self.fault, at)
        leave = partial(disk.leave, crashed, left)
        disk.attach(on_death=leave)
        code = main(installer(host, *self.words))
        leave()
        return code


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory: we decide what is lost, and wait for no disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)


@pytest.fixture
def first(bundles: Bundles, folder: Path) -> partial[Trial]:
    """A first install on an empty host."""
    (folder / "pristine").mkdir()
    words = ["install", bundles.old, "--key", bundles.key]
    return partial(Trial, folder, folder / "pristine", words)


@pytest.fixture
def upgrade(bundles: Bundles, folder: Path) -> partial[Trial]:
    """An upgrade of a host that has the release before."""
    pristine = folder / "pristine"
    assert run(pristine, "install", bundles.old, "--key", bundles.key) == 0
    return partial(Trial, folder, pristine, ["install", bundles.new])


def expect_to_finish_the_first(trial: Trial, left: Left, start: int, step: int) -> None:
    for end in trial.ends(left, start, step):
        assert end.code == (DIED if trial.fault is Fault.DIE else WRITE_FAILED)
        host = moved(end.host, trial)
        in_use = (host / "state/current/laws").is_symlink()
        assert run(host, "audit") == (0 if in_use else NOT_INSTALLED)
        expect_finished(host, trial.words, "1")


def expect_old_or_new(trial: Trial, left: Left, start: int, step: int) -> set[str]:
    """Expect a whole release after each end; return which were seen."""
    seen = set()
    for end in trial.ends(left, start, step):
        assert end.code == (DIED if trial.fault is Fault.DIE else WRITE_FAILED)
        host = moved(end.host, trial)
        seen.add((host / "state/current/laws").resolve().name[:2])
        assert run(host, "audit") == 0
        expect_finished(host, trial.words, "2")
    return seen


def moved(host: Path, trial: Trial) -> Path:
    """Put what was left where the host was: its links and ledger name that place."""
    place = trial.folder / "host"
    if host != place:
        shutil.rmtree(place)
        host.rename(place)
    return place


CASES = [
    pytest.param(Fault.DIE, Left.ALL, id="killed"),
    pytest.param(Fault.DIE, Left.SYNCED, id="power cut"),
    pytest.param(Fault.DIE, Left.NAMES, id="power cut, names kept"),
    pytest.param(Fault.FULL, Left.ALL, id="disk full"),
    pytest.param(Fault.FAIL_ONCE, Left.ALL, id="device fails"),
    pytest.param(Fault.FAIL_ONCE, Left.SYNCED, id="device fails, power cut"),
]


@pytest.mark.parametrize(("fault", "left"), CASES)
def test_a_first_install_that_ended_at_some_change_is_finished(first, fault, left):
    expect_to_finish_the_first(first(fault), left, 3, STEP)


@pytest.mark.parametrize(("fault", "left"), CASES)
def test_an_upgrade_that_ended_at_some_change_serves_old_or_new(upgrade, fault, left):
    assert "1-" in expect_old_or_new(upgrade(fault), left, 5, STEP)


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "left"), CASES)
def test_a_first_install_that_ended_at_any_change_is_finished(first, fault, left):
    expect_to_finish_the_first(first(fault), left, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "left"), CASES)
def test_an_upgrade_that_ended_at_any_change_serves_old_or_new(upgrade, fault, left):
    seen = expect_old_or_new(upgrade(fault), left, 0, 1)

    assert seen == {"1-", "2-"}
