"""Run Docker Compose on the stack of a release, offline.

Finds whichever Compose the host has: the v2 plugin, the same program by itself, or
docker-compose 1.29. None of them may pull or build: every image must be there.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from sealift_manifests.errors import ImageLoadError, StartError

from sealift_installer.diagnosis import Evidence, causes_of
from sealift_installer.engine import Engine, name_in_path, printable

PLUGIN_DIRS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
"""Where the docker client looks for the plugin, besides the user's own directory."""

OLDEST = (1, 28)
"""The first Compose that reserves GPUs (`deploy.resources.reservations.devices`)."""

_NUMBER = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_PULL_OPTION = re.compile(r"^\s+--pull\b", re.MULTILINE)
_PROBE_SECONDS = 30
_TOLD_LINES = 20


@dataclass(frozen=True)
class Project:
    """A Compose project: its name, its file, and the directory paths start from.

    `variables` are those of the file, by name: nothing else of ours gets into it.
    """

    name: str
    file: str
    directory: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Compose:
    """A Compose program that works, and the engine it is pointed at."""

    command: Tuple[str, ...]
    version: Tuple[int, ...]
    engine: Engine

    @classmethod
    def find(cls, engine: Engine, environ: Mapping[str, str] = os.environ) -> Compose:
        """Return the best Compose of this host: v2 or later if there is one."""
        best: Optional[Compose] = None
        tried: List[str] = []
        for command in _candidates(environ):
            version = _version(command, engine)
            tried.append(_words(command) + _in_words(version))
            if version and version >= OLDEST and (not best or version > best.version):
                best = cls(command, version, engine)
            if best and best.version >= (2,):
                return best
        if best:
            return best
        raise StartError(
            "this host has no usable Docker Compose"
            + (f" (tried: {'; '.join(tried)})" if tried else ""),
            hint="Install the package docker-compose-plugin (Docker's own packages), "
            "docker-compose-v2 (Ubuntu) or docker-compose (Debian), or put the "
            f"docker-compose program into {PLUGIN_DIRS[0]}.",
        )

    def up(self, project: Project, references: Iterable[str]) -> None:
        """Create and start what is not running as the file says, in the background.

        Raises ImageLoadError, before anything is touched, when the engine lacks an
        image of `references`: docker-compose 1 would go and pull it.
        """
        self.require_images(project, references)
        options = ["--detach", "--no-build", "--remove-orphans"]
        if self._knows_pull():
            options += ["--pull", "never"]
        self._run(project, "up", *options)

    def stop(self, project: Project) -> None:
        """Stop the containers and keep them."""
        self._run(project, "stop")

    def down(self, project: Project) -> None:
        """Stop and remove the containers and networks. Volumes and images stay."""
        self._run(project, "down", "--remove-orphans")

    def _knows_pull(self) -> bool:
        _, text = _output((*self.command, "up", "--help"), self.engine)
        return bool(_PULL_OPTION.search(text))

    def require_images(self, project: Project, references: Iterable[str]) -> None:
        """Raise ImageLoadError when the engine lacks one of these images."""
        missing = [
            reference
            for reference in sorted(set(references))
            if self.engine.find(f"/images/{name_in_path(reference)}/json") is None
        ]
        if missing:
            raise ImageLoadError(
                f"{project.name} cannot start: the engine lacks {', '.join(missing)}",
                hint="Install the release again: that loads the images that are not "
                "there.",
            )

    def _run(self, project: Project, verb: str, *options: str) -> None:
        argv = (
            *self.command,
            *("--ansi", "never"),
            *("--project-name", project.name),
            *("--file", project.file),
            *("--project-directory", project.directory),
            verb,
            *options,
        )
        status, text = _output(argv, self.engine, project.variables, limit=None)
        if status:
            lines = [line for line in text.splitlines() if line.strip()]
            told = "\n".join(f"  {printable(line)}" for line in lines[-_TOLD_LINES:])
            causes = causes_of(Evidence(engine=text))
            told += "".join(f"\n{cause}" for cause in causes)
            raise StartError(
                f"`{_words(self.command)} {verb}` of {project.name} failed with "
                f"status {status}; it said:\n{told or '  nothing'}",
                hint=causes[0].remedy
                if causes
                else f"The stack is {project.file}. See the lines above, and the "
                "engine's log (`journalctl -u docker`).",
                facts={"causes": [cause.facts() for cause in causes]},
            )


def _candidates(environ: Mapping[str, str]) -> Iterator[Tuple[str, ...]]:
    """Yield every command that may be Compose, likelier ones first.

    A client without the plugin may stand before one that has it, so all are tried.
    """
    places = [place for place in environ.get("PATH", "").split(":") if place]
    own = os.path.join(environ.get("HOME", "/root"), ".docker", "cli-plugins")
    for docker in _programs(places, "docker"):
        yield docker, "compose"
    for plugin in _programs([own, *PLUGIN_DIRS], "docker-compose"):
        yield (plugin,)
    for compose in _programs(places, "docker-compose"):
        yield (compose,)


def _programs(places: Iterable[str], name: str) -> Iterator[str]:
    seen = set()
    for place in places:
        path = os.path.join(place, name)
        real = os.path.realpath(path)
        if real not in seen and os.path.isfile(path) and os.access(path, os.X_OK):
            seen.add(real)
            yield path


def _version(command: Tuple[str, ...], engine: Engine) -> Optional[Tuple[int, ...]]:
    status, text = _output((*command, "version", "--short"), engine)
    found = _NUMBER.match(text.strip())
    if status or not found:
        return None
    return tuple(int(number or 0) for number in found.groups())


def _words(command: Tuple[str, ...]) -> str:
    return printable(" ".join(command))


def _in_words(version: Optional[Tuple[int, ...]]) -> str:
    return f" is {'.'.join(map(str, version))}" if version else " does not work"


def _environment(engine: Engine, variables: Mapping[str, str]) -> Dict[str, str]:
    """Return all that Compose sees of ours.

    Not the user's client configuration: its proxies would get into containers,
    its context could mean another engine.
    """
    kept = {key: os.environ[key] for key in ("HOME", "TMPDIR") if key in os.environ}
    return {
        **variables,
        **kept,
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "DOCKER_HOST": engine.url,
        "DOCKER_CONFIG": "/nonexistent",
    }


def _output(
    argv: Tuple[str, ...],
    engine: Engine,
    variables: Mapping[str, str] = MappingProxyType({}),
    *,
    limit: Optional[float] = _PROBE_SECONDS,
) -> Tuple[int, str]:
    """Run a program and return its status and all it said, errors included."""
    try:
        done = subprocess.run(
            argv,
            env=_environment(engine, variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace")
