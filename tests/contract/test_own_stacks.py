"""A user's own Compose files, merged and filled in, run on a real engine.

Once by docker-compose 1.29 and once by Compose v2.
"""

from __future__ import annotations

import os
from pathlib import Path

import hosts
import making
import pytest
from engines import busybox_layer, unique
from making import Host

BASE = """
services:
  app:
    image: ${IMAGE}
    command: /bin/busybox sleep 1
    environment: [LEVEL=info, WORKERS]
    stop_grace_period: 0s
    depends_on: {debug: {condition: service_started, required: false}}
  debug:
    image: nowhere.example/debug:latest
    profiles: [debug]
"""
PROD = """
services:
  app:
    command: ["/bin/busybox", "sh", "-c", "echo $(/bin/busybox id -u) > /tmp/id; /bin/busybox sleep 600"]
    environment: {LEVEL: debug}
    user: "${RUN_AS:-1000}"
    tmpfs: /tmp:mode=1777
    read_only: ${READ_ONLY}
"""  # noqa: E501


@pytest.fixture(params=["1.", "2."])
def compose(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the version begins of the Compose that a host finds."""
    wanted: str = request.param
    if wanted == "2.":
        command = request.getfixturevalue("compose_v2")
        if command[0] != "docker":
            before = os.environ["PATH"]
            monkeypatch.setenv("PATH", f"{Path(command[0]).parent}:{before}")
    elif making.run(["docker", "compose", "version"]).code == 0:
        pytest.skip("a host with Compose v2 takes that one")
    return wanted


def test_files_variables_and_profiles_come_to_one_stack_that_runs(
    engine: hosts.Engine, key: making.Key, tmp_path: Path, compose: str
):
    name = unique("own")
    env = f"IMAGE={name}/app:1\nWORKERS=4\nREAD_ONLY=true\n"
    files = {"compose.yaml": BASE, "compose.prod.yaml": PROD, ".env": env}
    making.write_files(tmp_path, {**files, "layer.tar": busybox_layer()})
    engine.run("import", str(tmp_path / "layer.tar"), f"{name}/app:1")
    spec = making.a_spec(
        tmp_path,
        name,
        images={
            "app": {"engine": f"{name}/app:1"},
            "debug": {"engine": "nowhere.example/debug:latest"},
        },
        stack=["compose.yaml", "compose.prod.yaml"],
    )
    try:
        bundle = making.build(spec, key, tmp_path / "out")
        host = Host(tmp_path / "host", bundle / making.PYZ)
        host.run("install", bundle, "--key", key.public).expect(0)
        host.run("start", "--wait", "60").expect(0, "is up", "app: running")
        container = engine.text("ps", "-q", "--filter", f"name={name}")

        inside = engine.text(
            *("exec", container, "/bin/busybox", "sh", "-c"),
            "echo $LEVEL $WORKERS; /bin/busybox cat /tmp/id; "
            "/bin/busybox touch /x 2>&1; true",
        )

        label = '{{index .Config.Labels "com.docker.compose.version"}}'
        assert engine.text("inspect", "-f", label, container).startswith(compose)
        assert inside.splitlines()[:2] == ["debug 4", "1000"]
        assert "Read-only file system" in inside
    finally:
        making.clear_engine(engine, name)
