"""One line, built once, and the offline host that has its first version installed.

The tests of a module use that one host in turn; each leaves it as it found it, with the
release whole. Another module gets a host of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress

import hosts
import making
import pytest
from line_making import Line, a_line
from making import PYZ, Host


@pytest.fixture(scope="session")
def line(
    tmp_path_factory: pytest.TempPathFactory, engine: hosts.Engine
) -> Iterator[Line]:
    """The bundle in two versions; whatever it left in the engine is removed."""
    with a_line(tmp_path_factory.mktemp("line"), engine) as line:
        yield line


@pytest.fixture(scope="module")
def host(
    line: Line,
    engine: hosts.Engine,
    no_network: hosts.NoNetwork,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Host]:
    """The offline host, without a network, with the first version installed."""
    host = Host(tmp_path_factory.mktemp("host"), line.first / PYZ, network=no_network)
    host.run("install", line.first, "--key", line.key.public).expect(0)
    yield host
    making.clear_engine(engine, line.name)


@pytest.fixture
def whole(host: Host, line: Line) -> Iterator[Host]:
    """The host, which a test may damage; repaired even where the test failed."""
    yield host
    if host.run("audit").code:
        with suppress(subprocess.CalledProcessError):
            host.run("install", line.first, "--repair")


@pytest.fixture(scope="module")
def at_rest(host: Host, line: Line, engine: hosts.Engine) -> Host:
    """The host without containers, which would hold images and volumes."""
    ids = engine.text("ps", "-aq", "--filter", f"name={line.name}").split()
    if ids:
        engine.run("rm", "-f", *ids)
    return host
