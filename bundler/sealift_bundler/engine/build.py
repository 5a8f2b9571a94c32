"""Builds images with BuildKit, through the docker command.

BuildKit is what keeps secrets out of images, and only the command speaks its
protocol. The result stays in the engine under its tag; save takes it from there.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sealift_manifests.errors import ImageBuildError, SourceContentError

from sealift_bundler.engine.client import engine_host

_SHOWN_LINES = 30
_MASK = "********"
_SHORTEST_SECRET = 8  # shorter values occur in any config by chance
_VERSION = re.compile(r"version (\d+)\.(\d+)")


@dataclass(frozen=True)
class Builder:
    """A docker command that can use BuildKit."""

    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    is_buildx: bool = False


@dataclass(frozen=True)
class BuildRequest:
    """One image to build. `epoch` is the time, in seconds, that the build may see."""

    context: Path
    tag: str
    platform: str
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    epoch: int = 0


def find_builder(path: str | None = None) -> Builder:
    """Return the first docker command of a search path that can use BuildKit.

    buildx is preferred; a command older than 23 has BuildKit built in.
    """
    older = None
    seen = []
    for docker in _commands(path if path is not None else os.environ.get("PATH", "")):
        if _answer(docker, "buildx", "version"):
            return Builder((docker, "buildx", "build"), {}, is_buildx=True)
        version = _answer(docker, "--version")
        seen.append(f"{docker}: {version.strip() or 'does not answer'}, no buildx")
        found = _VERSION.search(version)
        if (
            found
            and older is None
            and (18, 9) <= (int(found[1]), int(found[2])) < (23,)
        ):
            older = Builder((docker, "build"), {"DOCKER_BUILDKIT": "1"})
    if older:
        return older
    raise ImageBuildError(
        "no docker command here can build with BuildKit"
        + "".join(f"\n  {line}" for line in seen or ["there is none on PATH"]),
        hint="Install the buildx plugin (`apt install docker-buildx`), or give the "
        "image as `pull:` or `engine:` in the spec.",
    )


def build_image(
    request: BuildRequest,
    *,
    builder: Builder | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Build an image and leave it in the engine under its tag.

    `report` gets the lines of the build, without the values of secrets.
    """
    builder = builder or find_builder()
    mask = _Mask(request.secrets)
    environ = {
        **os.environ,
        **builder.environ,
        "DOCKER_HOST": engine_host(),  # the engine that the image is saved from
        "SOURCE_DATE_EPOCH": str(request.epoch),
    }
    last: deque[str] = deque(maxlen=_SHOWN_LINES)

    def take(line: str) -> None:
        last.append(mask.hide(line.rstrip("\n")))
        report(last[-1])

    if status := _run(build_command(builder, request), environ, take):
        raise ImageBuildError(
            f"the build of {request.tag} failed (exit status {status}):\n  "
            + "\n  ".join(last),
            hint="Correct what the last lines name. Builds run as they would with "
            f"`docker build {request.context}`.",
        )


def build_command(builder: Builder, request: BuildRequest) -> list[str]:
    """Return the argument list of a build."""
    command = [
        *builder.command,
        *("--progress", "plain"),  # lines instead of a moving screen
        *("--file", str(request.context / request.dockerfile)),
        *("--tag", request.tag),
        *("--platform", request.platform),
        # Older frontends know the time only as an argument.
        *("--build-arg", f"SOURCE_DATE_EPOCH={request.epoch}"),
    ]
    if builder.is_buildx:
        # Provenance holds random ids; it would make each build another image.
        command += ["--load", "--provenance=false"]
    if request.target:
        command += ["--target", request.target]
    for name, value in sorted(request.args.items()):
        command += ["--build-arg", f"{name}={value}"]
    for name, path in sorted(request.secrets.items()):
        command += ["--secret", f"id={name},{_csv(f'src={path}')}"]
    return [*command, str(request.context)]


def check_no_secrets(config: bytes, secrets: Mapping[str, Path], image: str) -> None:
    """Raise SourceContentError if the value of a secret is in an image's config.

    History and environment are part of the config, and everybody can read them.
    """
    texts = list(_texts(json.loads(config)))
    leaked = {
        name
        for name, path in secrets.items()
        for value in _values(path)
        for text in texts
        if value in text
    }
    if leaked:
        raise SourceContentError(
            f"the config or history of {image} holds the secret "
            + ", ".join(sorted(leaked)),
            hint="Do not hand it over as ARG or ENV; read it in the one RUN that needs "
            "it: RUN --mount=type=secret,id=NAME. Then replace the secret, which is "
            "in the engine's build cache now.",
        )


def secret_values(secrets: Mapping[str, Path]) -> dict[str, tuple[bytes, ...]]:
    """Return how the secrets of a build would look in a file where they leaked."""
    return {
        name: tuple(value.encode() for value in _values(path))
        for name, path in secrets.items()
    }


class _Mask:
    def __init__(self, secrets: Mapping[str, Path]) -> None:
        values = {value for path in secrets.values() for value in _values(path)}
        self._values = sorted(values, key=len, reverse=True)

    def hide(self, line: str) -> str:
        for value in self._values:
            line = line.replace(value, _MASK)
        return line


def _values(path: Path) -> Iterator[str]:
    """Yield how a secret would look where it leaked: whole, by line, in base64."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageBuildError(
            f"the secret {path} cannot be read: {error.strerror}",
            hint="Make it readable for the one who builds.",
        ) from error
    text = data.decode("utf-8", "replace")
    for value in (text.strip(), *map(str.strip, text.splitlines())):
        if len(value) >= _SHORTEST_SECRET:
            yield value
    for raw in (data, data.strip()):
        if len(raw) >= _SHORTEST_SECRET:
            yield base64.b64encode(raw).decode("ascii")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, held in value.items():
            yield key
            yield from _texts(held)
    elif isinstance(value, list):
        for held in value:
            yield from _texts(held)


def _run(
    command: list[str], environ: Mapping[str, str], take: Callable[[str], None]
) -> int:
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                take(line)
    except OSError as error:
        raise ImageBuildError(
            f"{command[0]} cannot be run: {error.strerror}",
            hint="Install Docker's command line again.",
        ) from error
    return process.returncode


def _commands(path: str) -> Iterator[str]:
    seen = set()
    for folder in path.split(os.pathsep):
        docker = Path(folder or ".") / "docker"
        real = os.path.realpath(docker)
        if real not in seen and docker.is_file() and os.access(docker, os.X_OK):
            seen.add(real)
            yield str(docker)


def _answer(*command: str) -> str:
    """Return what a command prints; empty if it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout if run.returncode == 0 else ""


def _csv(text: str) -> str:
    """Quote a field of the comma-separated value that --secret takes."""
    if not set(text) & set(',"\n'):
        return text
    return '"' + text.replace('"', '""') + '"'
