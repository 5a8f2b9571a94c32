"""The story of a rehearsal: install into a scratch place, start, look on, take down."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from sealift_manifests.bundle import INSTALLER_NAME, Bundle
from sealift_manifests.errors import BusyError, RehearsalError, SpecError
from sealift_manifests.names import data_volume_name, project_name, volume_name

from sealift_bundler.engine.client import open_engine
from sealift_bundler.report import Report

from .packets import Attempt
from .values import RehearsalOptions, Rehearsed, Seen
from .wall import Watch, walled_in

if TYPE_CHECKING:
    import docker

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_EVERY = 1.0

T = TypeVar("T")


@dataclass(frozen=True)
class RehearsalRequest:
    """What to rehearse: where the bundle lies, options for trust, a scratch place."""

    places: Sequence[str]
    trust: Sequence[str]
    scratch: Path
    options: RehearsalOptions


def rehearse(request: RehearsalRequest, bundle: Bundle, report: Report) -> Rehearsed:
    """Install and start the bundle behind a wall; return what was seen there.

    Raises RehearsalError when it does not install or start; all is taken down.
    """
    _check_stack(bundle)
    installer = request.scratch / INSTALLER_NAME
    installer.write_bytes(bundle.document(INSTALLER_NAME))
    run = _Installer(installer, request, report)
    name = bundle.manifest.name
    # An installer that knows no volumes does not know the option.
    data = [f"--volumes={name}"] if bundle.manifest.volumes else []
    with open_engine() as client:
        _check_free(client, bundle)
        with walled_in() as watch, _taken_down(run, name, *data):
            accepted = _install(run, request, bundle)
            done = _look_on(run, request, bundle, client, watch)
            return replace(done, accepted=done.accepted | accepted)


def _install(
    run: _Installer, request: RehearsalRequest, bundle: Bundle
) -> frozenset[str]:
    """Install it, and return the fails of the preflight that were accepted."""
    given = [word for pair in request.options.given for word in ("--set", pair)]
    done = run("install", *request.places, *request.trust, *_accepted(request), *given)
    _bring_secrets(run, request.scratch, bundle)
    return frozenset(done.get("accepted", ()))


def _look_on(
    run: _Installer,
    request: RehearsalRequest,
    bundle: Bundle,
    client: docker.DockerClient,
    watch: Watch,
) -> Rehearsed:
    name, options = bundle.manifest.name, request.options
    began = time.monotonic()
    started = run("start", name, "--wait", str(options.wait), *_accepted(request))
    run.report.step(f"all is up; looking on for {options.watch} s")
    until = time.monotonic() + options.watch
    addresses = _addresses(client, project_name(name))
    while time.monotonic() < until:
        time.sleep(_EVERY)
        addresses |= _addresses(client, project_name(name))
    standing = run("status", name)["bundles"][0]
    require_well(standing)
    return Rehearsed(
        services=standing["services"],
        attempts=tuple(_seen(watch, addresses)),
        seconds=time.monotonic() - began,
        smoke=tuple(started.get("smoke", ())),
        accepted=frozenset(started.get("accepted", ())),
        engine=str(client.version()["Version"]),
    )


def require_well(standing: Mapping[str, Any]) -> None:
    """Raise RehearsalError if what was up when it was started is not so any more."""
    if standing["engine_error"]:
        raise RehearsalError(
            f"the services are not known any more: {standing['engine_error']}",
            hint="See the log of the engine, and rehearse again.",
        )
    lines = [f"{each['service']}: {each['fault']}" for each in standing["causes"]]
    if lines:
        raise RehearsalError(
            "all was up, and then was not:\n  " + "\n  ".join(lines),
            hint="Look at its log on a test host. Where a service only ends once while "
            "others start, let it wait for them (`depends_on`, `condition: "
            "service_healthy`), or look on for longer: --watch 90.",
        )


def _accepted(request: RehearsalRequest) -> list[str]:
    return [word for slug in request.options.accept for word in ("--accept", slug)]


class _Installer:
    """Runs the bundle's own installer as an operator would, on a scratch host."""

    def __init__(
        self, program: Path, request: RehearsalRequest, report: Report
    ) -> None:
        self._program = program
        self._scratch = request.scratch
        self.report = report

    def __call__(self, command: str, *words: str) -> Any:
        self.report.step(f"rehearsing: {command}")
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


def _bring_secrets(run: Callable[..., Any], scratch: Path, bundle: Bundle) -> None:
    """Bring what a person brings to a host: here it is made up, and thrown away."""
    stack = bundle.manifest.stack
    labels = [s.label for s in stack.secrets if s.generate is None] if stack else []
    for label in labels:
        made = scratch / f"secret-{label}"
        made.write_text(secrets.token_urlsafe(24))
        words = ("--secret", f"{label}={made}")
        run("settings", bundle.manifest.name, *words)


@contextmanager
def _taken_down(run: Callable[..., Any], *words: str) -> Iterator[None]:
    try:
        yield
    except BaseException as failed:
        try:
            run("uninstall", *words, "--yes")
        except RehearsalError:
            # Nothing was installed yet, or the first failure says it better.
            raise failed from None
        raise
    run("uninstall", *words, "--yes")


def require_stack(name: str, stack: T | None) -> T:
    """Return the stack of the bundle `name`; raise SpecError if it has none."""
    if stack is None:
        raise SpecError(
            f"{name} has no stack: there is nothing to rehearse",
            hint="Name a Compose file under `stack:` in the spec.",
        )
    return stack


def _check_stack(bundle: Bundle) -> None:
    """Raise for what a wall cannot be put around."""
    stack = require_stack(bundle.manifest.name, bundle.manifest.stack)
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
    names = [volume_name(manifest.name, m.name, m.tree) for m in manifest.models]
    names += [data_volume_name(manifest.name, v.name) for v in manifest.volumes]
    for name in names:
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
