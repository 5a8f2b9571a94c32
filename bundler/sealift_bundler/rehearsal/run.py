"""The story of a rehearsal: install into a scratch place, start, look on, take down."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import yaml
from sealift_manifests.bundle import INSTALLER_NAME, Bundle
from sealift_manifests.errors import BusyError, RehearsalError, SpecError
from sealift_manifests.names import project_name, volume_name

from sealift_bundler.report import Report

from .packets import Attempt
from .wall import Watch, walled_in

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_EVERY = 1.0


@dataclass(frozen=True)
class Seen:
    """A service's attempt to reach outside: what, when first (UTC), how often."""

    service: str
    target: str
    how: str
    first: str
    times: int

    def __str__(self) -> str:
        """Return it in one line, for people."""
        often = "once" if self.times == 1 else f"{self.times} times"
        verb = "asked for" if self.how == "dns" else "tried"
        port = "" if self.how == "dns" else f" {self.how}"
        return f"{self.service} {verb} {self.target}{port}, {often}, first {self.first}"


@dataclass(frozen=True)
class Rehearsed:
    """What came of it: the services' states, how they answered, who tried to get out.

    `smoke` are the installer's facts about each smoke test.
    """

    services: Mapping[str, str]
    attempts: tuple[Seen, ...]
    seconds: float
    smoke: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class RehearsalRequest:
    """What to rehearse: where the bundle lies, options for trust, a scratch place.

    `watch` is how long to look on once all is healthy, `wait` how long to wait for
    that, both in seconds. `accept` are fails of the preflight to take on.
    """

    places: Sequence[str]
    trust: Sequence[str]
    scratch: Path
    watch: int
    wait: int
    accept: Sequence[str]


def rehearse(request: RehearsalRequest, bundle: Bundle, report: Report) -> Rehearsed:
    """Install and start the bundle behind a wall; return what was seen there.

    Raises RehearsalError when it does not install or start; all is taken down.
    """
    name = bundle.manifest.name
    client = docker.from_env()
    _check_stack(bundle)
    _check_free(client, bundle)
    installer = request.scratch / INSTALLER_NAME
    installer.write_bytes(bundle.document(INSTALLER_NAME))
    run = _Installer(installer, request, report)
    accept = [word for slug in request.accept for word in ("--accept", slug)]
    with walled_in() as watch, _taken_down(run, name):
        run("install", *request.places, *request.trust, *accept)
        began = time.monotonic()
        addresses: dict[str, str] = {}
        started = run("start", name, "--wait", str(request.wait), *accept)
        report.step(f"all is up; looking on for {request.watch} s")
        until = time.monotonic() + request.watch
        while True:
            addresses |= _addresses(client, project_name(name))
            if time.monotonic() >= until:
                break
            time.sleep(_EVERY)
        services = run("status", name)["bundles"][0]["services"]
        seconds = time.monotonic() - began
    seen, smoke = tuple(_seen(watch, addresses)), tuple(started.get("smoke", ()))
    return Rehearsed(services, seen, seconds, smoke)


class _Installer:
    """Runs the bundle's own installer as an operator would, on a scratch host."""

    def __init__(
        self, program: Path, request: RehearsalRequest, report: Report
    ) -> None:
        self._program = program
        self._scratch = request.scratch
        self._report = report

    def __call__(self, command: str, *words: str) -> Any:
        self._report.step(f"rehearsing: {command}")
        places = [
            *("--state-dir", str(self._scratch / "state")),
            *("--config-dir", str(self._scratch / "config")),
        ]
        argv = [sys.executable, "-I", "-B", str(self._program), command, *words]
        done = subprocess.run(
            [*argv, *places, "--json"], stdout=subprocess.PIPE, text=True
        )
        try:
            answer = json.loads(done.stdout)
        except ValueError as error:
            raise RehearsalError(
                f"the installer ended with {done.returncode} and said nothing",
                hint="Its words stand above. Run the command on a test host.",
            ) from error
        if not answer["ok"]:
            told = answer["error"]
            raise RehearsalError(
                f"`{command}` fails as it would on the host: {told['message']}",
                hint=f"{told['hint']} [{told['slug']}, exit code {told['exit_code']}]",
            )
        return answer


@contextmanager
def _taken_down(run: Callable[..., Any], name: str) -> Iterator[None]:
    try:
        yield
    except BaseException as failed:
        try:
            run("uninstall", name, "--yes")
        except RehearsalError:
            # Nothing was installed yet, or the first failure says it better.
            raise failed from None
        raise
    run("uninstall", name, "--yes")


def _check_stack(bundle: Bundle) -> None:
    """Raise for what a wall cannot be put around."""
    stack = bundle.manifest.stack
    if stack is None:
        raise SpecError(
            f"{bundle.manifest.name} has no stack: there is nothing to rehearse",
            hint="Name a Compose file under `stack:` in the spec.",
        )
    digest = next(file.digest for file in stack.files if file.path == stack.compose)
    data = b"".join(bytes(part) for part in bundle.read_content(digest))
    services = yaml.safe_load(data)["services"]
    outside = [
        name for name, held in services.items() if held.get("network_mode") == "host"
    ]
    if outside:
        raise SpecError(
            f"{', '.join(outside)} uses the host's network, and the way out of that "
            "cannot be closed",
            hint="Publish ports instead of `network_mode: host`, or rehearse on a test "
            "host that has no network.",
        )


def _check_free(client: docker.DockerClient, bundle: Bundle) -> None:
    """Raise BusyError if the engine has something of this bundle: it would be lost."""
    manifest = bundle.manifest
    project = project_name(manifest.name)
    found = [
        f"container {each.name}"
        for each in client.containers.list(
            all=True, filters={"label": f"{_PROJECT}={project}"}
        )
    ]
    volumes = {each.name for each in client.volumes.list()}
    for model in manifest.models:
        name = volume_name(manifest.name, model.name, model.tree)
        found += [f"volume {name}"] if name in volumes else []
    tags = {tag for image in client.images.list() for tag in image.tags}
    for image in manifest.images:
        familiar = image.reference.removeprefix("docker.io/").removeprefix("library/")
        found += [f"image {familiar}"] if familiar in tags else []
    if found:
        raise BusyError(
            f"this engine has {manifest.name} already: {', '.join(found)}",
            hint="A rehearsal takes down what it started, and would take these too. "
            "Rehearse on another machine, or uninstall them first.",
        )


def _addresses(client: docker.DockerClient, project: str) -> dict[str, str]:
    """Return the service behind each address of the project's networks."""
    found: dict[str, str] = {}
    for container in client.containers.list(
        all=True, filters={"label": f"{_PROJECT}={project}"}
    ):
        service = str(container.labels.get(_SERVICE, container.name))
        for network in container.attrs["NetworkSettings"]["Networks"].values():
            for key in ("IPAddress", "GlobalIPv6Address"):
                if network.get(key):
                    found[network[key]] = service
    return found


def _seen(watch: Watch, addresses: Mapping[str, str]) -> Iterator[Seen]:
    """Return the attempts that lead out of the project's networks, in their order."""
    for attempt, first in sorted(watch.first.items(), key=lambda item: item[1]):
        if _is_inside(attempt, addresses):
            continue
        yield Seen(
            service=addresses.get(attempt.source, attempt.source),
            target=attempt.target,
            how=attempt.how,
            first=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first)),
            times=watch.count[attempt],
        )


def _is_inside(attempt: Attempt, addresses: Mapping[str, str]) -> bool:
    return attempt.target in addresses
