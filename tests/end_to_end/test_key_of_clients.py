"""A server that demands a key is asked with it, and nobody is shown the key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hosts
import making
import pytest
from engines import unique
from making import PYZ, Host, Key
from serving_making import LLM, SMOKE, a_service, import_speaking

pytestmark = pytest.mark.docker

SENT = {"Authorization": "Bearer ${secret:api-key}"}


@dataclass(frozen=True)
class Guarded:
    """A host with such a server installed, and where it keeps the key."""

    name: str
    host: Host

    @property
    def key(self) -> str:
        path = self.host.config / "secrets" / self.name / "api-key"
        return path.read_text()


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, engine: hosts.Engine, key: Key
) -> Iterator[Guarded]:
    name, folder = unique("guarded"), tmp_path_factory.mktemp("guarded")
    try:
        bundle = a_bundle(folder, engine, key, name)
        making.clear_engine(engine, name)
        host = Host(folder / "host", bundle / PYZ)
        host.run("install", bundle, "--key", key.public).expect(0)
        yield Guarded(name, host)
    finally:
        making.clear_engine(engine, name)


def a_bundle(folder: Path, engine: hosts.Engine, key: Key, name: str) -> Path:
    import_speaking(folder, engine, f"{name}/llm:1")
    services = {"llm": a_service("llm", LLM, secrets=["api-key"])}
    making.write_files(folder, {"compose.yaml": json.dumps({"services": services})})
    spec = making.a_spec(
        folder,
        name,
        images={"llm": {"engine": f"{name}/llm:1"}},
        stack="compose.yaml",
        secrets={"api-key": {"generate": 32}},
        smoke=[{**test, "headers": SENT} for test in SMOKE if test["service"] == "llm"],
    )
    return making.build(spec, key, folder / "out")


def test_a_server_is_asked_with_the_key_that_this_host_has(guarded):
    started = guarded.host.run("start", "--wait", "60")

    started.expect(0, "smoke capital: good", "smoke streamed: good")
    assert guarded.key not in started.out + started.err


def test_a_key_that_the_server_does_not_know_is_not_shown(guarded):
    guarded.host.run("start", "--wait", "60").expect(0)
    before = guarded.key
    guarded.host.run("settings", guarded.name, "--generate", "api-key").expect(0)

    # The server was not started anew: it has the old key, and says what it was sent.
    told = guarded.host.run("smoke")
    facts = guarded.host.run("smoke", "--json")

    told.expect(43, "this is not the key: Bearer [the secret api-key]")
    assert guarded.key != before
    for outcome in (told, facts):
        assert guarded.key not in outcome.out + outcome.err
    guarded.host.run("start", "--wait", "60").expect(0, "smoke capital: good")
