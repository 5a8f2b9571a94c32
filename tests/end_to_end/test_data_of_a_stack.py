"""A stack that writes to its volume of data: upgrades and rollbacks leave it alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hosts
import making
import pytest
from engines import SHELL, busybox_layer, unique
from making import PYZ, Host, Key
from sealift_manifests.names import data_volume_name

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="owners are given by root"),
]

SERVE = f"{SHELL} date >> /data/starts; exec {SHELL} sleep 3600"
OWNER = (1000, 2000)


@dataclass(frozen=True)
class Line:
    """Two versions of a bundle with one stack, and different data."""

    name: str
    bundles: dict[str, Path]
    key: Key


@pytest.fixture(scope="module")
def line(
    tmp_path_factory: pytest.TempPathFactory, key: Key, engine: hosts.Engine
) -> Iterator[Line]:
    name, folder = unique("stack"), tmp_path_factory.mktemp("line")
    engine.run("import", "-", f"{name}/db:1", stdin=busybox_layer())
    try:
        bundles = {
            version: making.build(
                a_spec(folder / version, name, version), key, folder / "out"
            )
            for version in ("1", "2")
        }
        making.clear_engine(engine, name)
        yield Line(name, bundles, key)
    finally:
        making.clear_engine(engine, name)


def a_spec(folder: Path, name: str, version: str) -> Path:
    check = {"test": ["CMD", SHELL, "true"], "interval": "1s"}
    db = {
        "image": "db",
        "user": ":".join(map(str, OWNER)),
        "command": [SHELL, "sh", "-c", SERVE],
        "environment": {"VERSION": version},
        "volumes": ["store:/data"],
        "healthcheck": check,
        "network_mode": "none",
        "stop_grace_period": "0s",
    }
    files = {
        "compose.yaml": json.dumps({"services": {"db": db}}),
        "data/seed": f"of version {version}",
    }
    making.write_files(folder, files)
    (folder / "data").chmod(0o750)
    for path in (folder / "data", folder / "data/seed"):
        os.chown(path, *OWNER)
    return making.a_spec(
        folder,
        name,
        version=version,
        serial=int(version),
        images={"db": {"engine": f"{name}/db:1"}},
        volumes={"store": {"path": "data"}},
        stack="compose.yaml",
    )


@pytest.fixture
def host(tmp_path: Path, line: Line, engine: hosts.Engine) -> Iterator[Host]:
    yield Host(tmp_path / "host", line.bundles["1"] / PYZ)
    making.clear_engine(engine, line.name)


def in_service(engine: hosts.Engine, line: Line, script: str) -> str:
    names = engine.text("ps", "--format", "{{.Names}}").splitlines()
    (db,) = [name for name in names if line.name in name]
    return engine.text("exec", db, SHELL, "sh", "-c", script.replace("@", SHELL))


def test_what_a_service_wrote_survives_upgrade_and_rollback(host, line, engine):
    host.run("install", line.bundles["1"], "--key", line.key.public).expect(0)
    host.run("start", "--wait", "60").expect(0)
    said = in_service(engine, line, "@ echo answer > /data/written; @ cat /data/seed")
    assert said == "of version 1"

    host.run("install", line.bundles["2"]).expect(0, "is not used")
    host.run("start", "--wait", "60").expect(0)

    seen = "@ cat /data/seed /data/written; @ wc -l < /data/starts"
    assert in_service(engine, line, "@ echo $VERSION") == "2"
    assert in_service(engine, line, seen).split("\n") == ["of version 1answer", "2"]

    host.run("rollback", "--start", "--wait", "60").expect(0, "is up")

    assert in_service(engine, line, "@ echo $VERSION") == "1"
    assert in_service(engine, line, seen).split("\n") == ["of version 1answer", "3"]
    host.run("audit").expect(0)
    host.run("prune", "--yes", "--keep", "0").expect(0)
    host.run("stop").expect(0)
    place = engine.text(
        *("volume", "inspect", "-f", "{{.Mountpoint}}"),
        data_volume_name(line.name, "store"),
    )
    assert (Path(place) / "written").read_text() == "answer\n"


def test_data_of_a_stack_is_replaced_only_while_it_is_stopped(host, line, engine):
    host.run("install", line.bundles["1"], "--key", line.key.public).expect(0)
    host.run("start", "--wait", "60").expect(0)
    in_service(engine, line, "@ echo answer > /data/written")
    words = ("install", line.bundles["2"], "--restore-volume", "store")

    host.run(*words).expect(46, "running", "stop")
    host.run("stop").expect(0)
    host.run(*words).expect(0, "is kept as")
    host.run("start", "--wait", "60").expect(0)

    there = in_service(engine, line, "@ ls /data; @ cat /data/seed")
    assert there.split("\n") == ["seed", "starts", "of version 2"]
    host.run("uninstall", "--yes").expect(0, "data kept")
    volumes = engine.text("volume", "ls", "-q").splitlines()
    assert len([name for name in volumes if line.name in name]) == 2
