"""Fixtures for the real counterparts that tests run against, and what is missing then.

On a build server everything must be there. Elsewhere the engine must be, unless
SEALIFT_TESTS_WITHOUT_ENGINE=1; what only root can do is skipped for other users.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import chroots
import hosts
import making
import pytest
import sticks
from programs import Programs

T = TypeVar("T")


def _require(find: Callable[[], T], *, may_skip: bool) -> T:
    try:
        return find()
    except hosts.MissingHostError as missing:
        if may_skip and not hosts.in_ci():
            pytest.skip(str(missing))
        pytest.fail(str(missing), pytrace=False)


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests run: a shell's background job has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they use, so that no mark can be forgotten."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "engine" in fixtures:
            item.add_marker("docker")
        if "debian11" in fixtures:
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def _engine_where_marked(request: pytest.FixtureRequest) -> None:
    """A test marked docker needs the engine, also if it takes no fixture."""
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("engine")


@pytest.fixture(scope="session")
def engine() -> hosts.Engine:
    """The Docker engine of this machine; scripts/test starts one where none runs."""
    unwanted = os.environ.get("SEALIFT_TESTS_WITHOUT_ENGINE") == "1"
    return _require(hosts.find_engine, may_skip=unwanted)


@pytest.fixture(scope="session")
def no_network() -> hosts.NoNetwork:
    """A way to run programs without a network, seen to leave no way out."""
    return _require(hosts.cut_network, may_skip=not hosts.is_root())


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[sticks.Slots]:
    """Slots that sticks can be put into; all are taken out at the end."""
    _require(sticks.find_slots, may_skip=True)
    found = sticks.Slots(tmp_path / "slots")
    yield found
    found.take_all_out()


@pytest.fixture(params=["ext4", "exfat", "vfat"])
def stick_kind(request: pytest.FixtureRequest) -> str:
    """A file system that sticks have."""
    kind: str = request.param
    _require(lambda: sticks.require_kind(kind), may_skip=True)
    return kind


@pytest.fixture(scope="session")
def pythons() -> tuple[hosts.Python, ...]:
    """Every CPython >= 3.8 of this machine; at least the one that runs the tests."""
    return hosts.all_pythons()


@pytest.fixture(scope="session")
def debian11() -> chroots.Chroot:
    """A minimal Debian 11 with python3 3.9, to run offline programs in."""
    return _require(chroots.debian11, may_skip=not hosts.is_root())


@pytest.fixture(scope="session")
def compose_v2() -> list[str]:
    """The command of a Compose v2."""
    return _require(hosts.find_compose_v2, may_skip=True)


@pytest.fixture(scope="session")
def hub_model_dir() -> Path:
    """The folder of a small real model, as its publisher packed it."""
    return _require(hosts.find_model, may_skip=False)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> making.Key:
    """A key to sign bundles with; each module has its own."""
    return making.a_key(tmp_path_factory.mktemp("keys") / "release")


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """An empty folder of stand-in programs to put on a PATH."""
    return Programs(tmp_path / "programs")
