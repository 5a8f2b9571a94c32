"""Docker is killed under a running stack, and started again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hosts
import pytest
from making import PYZ, Host
from private_engine import PrivateEngine, private_engine
from sealift_installer.engine import Engine
from serving_making import Serving, serving

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not hosts.is_root(), reason="an engine is started by root"),
]


@pytest.fixture
def bundles(tmp_path: Path, engine: hosts.Engine) -> Iterator[Serving]:
    with serving(tmp_path, engine) as made:
        yield made


@pytest.fixture
def docker() -> Iterator[PrivateEngine]:
    with private_engine() as started:
        yield started


def services(host: Host) -> dict[str, str]:
    """Return the state of each service, as the installer tells it."""
    (bundle,) = host.run("status", "--json").expect(0).facts["bundles"]
    return {each["service"]: each["state"] for each in bundle["containers"]}


def by_docker(docker: PrivateEngine) -> dict[str, str]:
    """Return the same as Docker tells it."""
    listed = Engine(docker.socket).get("/containers/json", all="1")
    return {
        each["Labels"]["com.docker.compose.service"]: each["State"] for each in listed
    }


def test_a_stack_outlives_the_death_of_docker(bundles, docker, tmp_path):
    host = Host(
        tmp_path / "host",
        bundles.good / PYZ,
        engine=docker.socket,
        network=docker.network,
    )
    bundles.install(host, bundles.good)
    host.run("start", "--wait", "60").expect(0, "smoke capital: good")

    docker.kill()

    # Nobody tells what runs, and nothing is guessed.
    dead = host.run("status").expect(0, "services    unknown: no engine listens")
    assert "llm: running" not in dead.out
    host.run("start").expect(40)
    host.run("smoke").expect(40)

    docker.start()

    # Docker ends what it finds; what it then starts again depends on its version.
    told = services(host)
    assert told == by_docker(docker)
    assert told["vectors"] == "exited"
    host.run("diagnose").expect(43, "service vectors is exited", "it has ended")
    host.run("smoke").expect(43, "smoke vectors: FAILED", "no container of it runs")

    host.run("start", "--wait", "60").expect(0, "smoke vectors: good")
    assert services(host) == {"llm": "running", "vectors": "running"}
    host.run("audit").expect(0, "clean")
    events = [entry["event"] for entry in host.ledger()]
    assert "drift" not in events and events.count("start") == 2
