"""A service as its Compose file writes it, and what it asks of a host.

A bundle whose stack has settings carries this as a note, variables and all: so the host
reads off it, with its own values, what the build read off it with the defaults.

A note is an object: `name`; `service`, the keys of the Compose file that matter here,
its environment as a list; `image`, environment, entrypoint and command of the image,
absent where they are not known; `files`, pairs of a path in the container and the
options in the file there.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from typing import Any, Dict, Iterator, List, Mapping, Match, Optional, Tuple

from sealift_manifests.preflight.needs import ServiceNeeds
from sealift_manifests.serving.gpus import gpu_wish
from sealift_manifests.serving.ports import published_ports
from sealift_manifests.serving.servers import Started, server_of, sizing
from sealift_manifests.serving.words import (
    Word,
    command_words,
    environment_of,
    resolved,
)

WRITTEN_NOTE = "written"
"""The key among a stack's `facts`."""

_VARIABLE = re.compile(
    r"\$(?:\$|\{(?P<braced>[A-Za-z_]\w*)[^{}]*\}|(?P<bare>[A-Za-z_]\w*))"
)


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """Return a value of a Compose file with these variables put in."""

    def put(match: Match[str]) -> str:
        name = match["braced"] or match["bare"] or ""
        return literal(values[name]) if name in values else match[0]

    if isinstance(value, str):
        return _VARIABLE.sub(put, value)
    if isinstance(value, Mapping):
        return {key: filled(held, values) for key, held in value.items()}
    if isinstance(value, list):
        return [filled(held, values) for held in value]
    return value


def literal(text: str) -> str:
    """Return a text as a Compose file has it, where no part of it is a variable."""
    return text.replace("$", "$$")


def names_of(value: Any) -> Iterator[str]:
    """Yield the variables in a value of a Compose file."""
    if isinstance(value, str):
        for match in _VARIABLE.finditer(value):
            if match["braced"] or match["bare"]:
                yield match["braced"] or match["bare"]
    elif isinstance(value, Mapping):
        for held in value.values():
            yield from names_of(held)
    elif isinstance(value, list):
        for held in value:
            yield from names_of(held)


def needs_written(written: Mapping[str, Any]) -> ServiceNeeds:
    """Return what a service asks for; of image and models only the manifest knows."""
    service = _mapping(written.get("service"))
    image = written.get("image")
    own = environment_of(service.get("environment"))
    wants_gpu, request = gpu_wish(service)
    needs = ServiceNeeds(
        name=str(written.get("name")),
        wants_gpu=wants_gpu,
        gpu=request,
        server=None,
        disable_require=own.get("NVIDIA_DISABLE_REQUIRE"),
        visible_devices=own.get("NVIDIA_VISIBLE_DEVICES"),
        ports=published_ports(service),
        replicas=_replicas(service),
    )
    started = started_by(written)
    server = server_of(started.words)
    is_known = isinstance(image, Mapping) or service.get("entrypoint") is not None
    if server == "other" and not is_known:
        # What the image itself starts is not known yet.
        return needs
    return replace(needs, **{"server": server, **sizing(server, started)})


def started_by(written: Mapping[str, Any]) -> Started:
    """Return what the container starts; an entrypoint drops the image's command."""
    service, image = _mapping(written.get("service")), _mapping(written.get("image"))
    entrypoint = command_words(service.get("entrypoint"))
    command = command_words(service.get("command"))
    if entrypoint is None:
        entrypoint = command_words(image.get("entrypoint")) or ()
        if command is None:
            command = command_words(image.get("command"))
    return Started(
        (*entrypoint, *(command or ())),
        {
            **environment_of(image.get("environment")),
            **environment_of(service.get("environment")),
        },
        dict(_files(written.get("files"))),
        resolved(service.get("working_dir")) or "",
    )


def _replicas(service: Mapping[str, Any]) -> Optional[int]:
    written = service.get("scale")
    if written is None:
        written = _mapping(service.get("deploy")).get("replicas")
    text = resolved(written) or ""
    found = int(text) if text.isdecimal() and len(text) < 6 else 1
    return found if found > 1 else None


def _files(pairs: Any) -> Iterator[Tuple[str, Tuple[Word, ...]]]:
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
            yield posixpath.normpath(pair[0]), command_words(pair[1]) or ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def lines_of(environment: Mapping[str, Optional[str]]) -> List[str]:
    """Return variables of a known value as a note has them; None: of the host's."""
    return [
        name if text is None else f"{name}={literal(text)}"
        for name, text in environment.items()
    ]


def notes_by_name(value: Any) -> Dict[str, Mapping[str, Any]]:
    """Return the notes of a stack by the names of their services; odd ones left out."""
    return {
        each["name"]: each
        for each in (value if isinstance(value, list) else ())
        if isinstance(each, Mapping) and isinstance(each.get("name"), str)
    }
