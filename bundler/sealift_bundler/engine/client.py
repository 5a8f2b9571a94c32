"""The connection to the engine; its failures become EngineError.

Which engine: DOCKER_HOST, or the default socket. Contexts of the docker command
are not looked at, so that build and save always mean the same engine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sealift_manifests.errors import EngineError

if TYPE_CHECKING:
    # It takes 0.1 s, which only what needs an engine shall cost.
    import docker

DEFAULT_HOST = "unix:///var/run/docker.sock"


def engine_host(environ: Mapping[str, str] = os.environ) -> str:
    """Return the address of the engine."""
    return environ.get("DOCKER_HOST") or DEFAULT_HOST


@contextmanager
def open_engine(
    environ: Mapping[str, str] = os.environ,
) -> Iterator[docker.DockerClient]:
    """Connect to the engine, and leave no connection behind.

    No read has a timeout: an engine with graph drivers prepares a whole archive
    before it sends the first byte of a save.
    """
    import docker
    from docker.utils import kwargs_from_env

    host = engine_host(environ)
    with engine_errors(f"the container engine at {host} cannot be reached"):
        options = kwargs_from_env(dict(environ) or {"": ""})
        options["base_url"] = host
        # The version is asked from the engine here, which is the first contact.
        client = docker.DockerClient(
            version="auto",
            timeout=None,  # type: ignore[arg-type]  # the stubs are narrower
            **options,
        )
    try:
        yield client
    finally:
        client.close()


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn what the docker library raises into EngineError; `what` went wrong."""
    import requests
    from docker.errors import DockerException, TLSParameterError

    try:
        yield
    except (
        DockerException,
        TLSParameterError,
        requests.exceptions.RequestException,
        OSError,
    ) as error:
        raise EngineError(f"{what}: {error}", hint=_hint(str(error))) from error


def _hint(text: str) -> str:
    lowered = text.lower()
    if "permission denied" in lowered:
        return (
            "Run as root, or join the group of the socket: `usermod -aG docker USER`."
        )
    if "no such file" in lowered or "refused" in lowered or "not found" in lowered:
        return "Start Docker, or set DOCKER_HOST. Images with `pull:` need no engine."
    return "See the engine's log. Images with `pull:` in the spec need no engine."
