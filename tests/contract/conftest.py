"""Fixtures that several contract tests share: a Hub, keys, an agent, an engine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engines import RawImage, engine_guard, loader
from hub_models import REAL, TINY, TINY_FILES
from hubserver import HubServer
from sealift_bundler.keygen import GeneratedKey, generate_key
from sealift_installer.engine import Engine
from signing_programs import KINDS, made_by_ssh_keygen


@pytest.fixture
def no_hub_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the developer's environment says which Hub, or who asks."""
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def real_hub(hub_model_dir: Path) -> Iterator[HubServer]:
    """A Hub that has a small real model."""
    paths = hub_model_dir.rglob("*")
    files = {p.relative_to(hub_model_dir).as_posix(): p for p in paths}
    with HubServer({REAL: {n: p for n, p in files.items() if p.is_file()}}) as server:
        yield server


@pytest.fixture
def tiny_hub() -> Iterator[HubServer]:
    """A Hub of one test, with a few small files."""
    with HubServer({TINY: TINY_FILES}) as server:
        yield server


@pytest.fixture
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the logins of the machine it runs on."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(params=KINDS)
def ours(request: pytest.FixtureRequest, tmp_path: Path) -> GeneratedKey:
    """A key that Sealift made."""
    return generate_key(tmp_path / "ours", request.param, "release@acme")


@pytest.fixture(params=KINDS)
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A key that ssh-keygen made."""
    return made_by_ssh_keygen(tmp_path / "theirs", request.param)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A real, empty ssh-agent of our own."""
    path = tmp_path / "agent"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it speaks when the socket is there
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path
        process.terminate()


@pytest.fixture
def host() -> Iterator[tuple[Engine, list[str]]]:
    """The engine, and a list to note on what is to go at the end of the test."""
    with engine_guard() as (engine, noted):
        yield engine, noted


@pytest.fixture
def load(host: tuple[Engine, list[str]]) -> Callable[[RawImage], RawImage]:
    """Load images, and take them away at the end of the test."""
    return loader(*host)
