"""Where a service says that it is ready, for those that have no health check.

Taken from what the service starts: which server, on which port, and whether it
listens where the host reaches it. What is not sure is left out: then a service counts
as up when it has run for some seconds.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sealift_manifests.readiness import PATHS, Endpoint
from sealift_manifests.references import read_reference
from sealift_manifests.serving.servers import (
    Started,
    plain_words,
    server_of,
    vllm_words,
)
from sealift_manifests.serving.words import Options, Word, resolved
from sealift_manifests.serving.written import filled, started_by

from sealift_bundler.compose import Stack
from sealift_bundler.compose_check import read_volume
from sealift_bundler.insides.needs import ImageConfig

from .services import written

_LOOPBACKS = ("localhost", "127.0.0.1", "::1", "[::1]")
_EVERYWHERE = "0.0.0.0"
_LEFT_OPEN = "what-each-host-decides"
"""In place of a setting: a port or an address that hangs on one is not sure."""


@dataclass(frozen=True)
class _Server:
    """How a server is told its port and address, and what it takes when it is not.

    `unsure_options` (by their beginnings) and `unsure_variables` have it answer
    otherwise: over TLS, at another path, only with a key, or as a file says; a variable
    that says no is as if it were not there. `own_folder` has its configuration.
    """

    port: int
    host: str
    port_options: tuple[str, ...] = ("--port",)
    host_options: tuple[str, ...] = ("--host",)
    port_variable: str = ""
    host_variable: str = ""
    unsure_options: tuple[str, ...] = ()
    unsure_variables: tuple[str, ...] = ()
    own_folder: str = ""


_SERVERS = {
    "vllm": _Server(
        *(8000, _EVERYWHERE), unsure_options=("--ssl", "--uds", "--headless")
    ),
    "tgi": _Server(
        *(3000, _EVERYWHERE),
        port_options=("--port", "-p"),
        host_options=("--hostname",),
        port_variable="PORT",
    ),
    "llama.cpp": _Server(
        *(8080, "127.0.0.1"),
        port_variable="LLAMA_ARG_PORT",
        host_variable="LLAMA_ARG_HOST",
        unsure_options=("--ssl", "--api-prefix"),
        unsure_variables=(
            *("LLAMA_ARG_SSL_KEY_FILE", "LLAMA_ARG_SSL_CERT_FILE"),
            "LLAMA_ARG_API_PREFIX",
        ),
    ),
    "llama-cpp-python": _Server(
        *(8000, "localhost"),
        port_variable="PORT",
        host_variable="HOST",
        unsure_options=("--ssl", "--api-key", "--config-file", "--root-path"),
        unsure_variables=(
            *("SSL_KEYFILE", "SSL_CERTFILE", "API_KEY", "CONFIG_FILE", "ROOT_PATH"),
        ),
    ),
    "qdrant": _Server(
        *(6333, _EVERYWHERE),
        port_options=(),
        host_options=(),
        port_variable="QDRANT__SERVICE__HTTP_PORT",
        host_variable="QDRANT__SERVICE__HOST",
        unsure_options=("--config-path",),
        unsure_variables=("QDRANT__SERVICE__ENABLE_TLS",),
        own_folder="/qdrant/config",
    ),
}
_OFF = ("", "0", "false", "no", "off")


def endpoints(stack: Stack, configs: Mapping[str, ImageConfig]) -> Iterator[Endpoint]:
    """Yield where each service answers whose server is known; `configs` by image."""
    services = stack.value["services"]
    left_open = {setting.name: _LEFT_OPEN for setting in stack.site.settings}
    for entry in stack.services:
        service, image = services[entry.name], configs.get(entry.image)
        note = written(stack, entry.name, image)
        started = started_by(filled(note, left_open))
        server = _server(started.words, stack.reference(entry.image))
        port = _port(server, started)
        if _has_check(service, image) or _is_configured(server, service):
            continue
        if port:
            yield Endpoint(entry.name, server, port, PATHS[server])


def _has_check(service: Mapping[str, Any], image: ImageConfig | None) -> bool:
    check = service.get("healthcheck")
    if isinstance(check, Mapping):
        test = check.get("test")
        off = str(check.get("disable")).lower() == "true" or test in ("NONE", ["NONE"])
        if off or test:
            return not off
    return bool(image and image.has_healthcheck)


def _server(words: tuple[Word, ...], reference: str) -> str:
    found = server_of(words)
    if any((word or "").startswith("llama_cpp.server") for word in plain_words(words)):
        return "llama-cpp-python"
    if found == "other":
        name = posixpath.basename(read_reference(reference).repository)
        return "qdrant" if name == "qdrant" else found
    return found


def _is_configured(server: str, service: Mapping[str, Any]) -> bool:
    """Tell whether the stack puts a configuration of its own into a server's folder."""
    folder = _SERVERS[server].own_folder if server in _SERVERS else ""
    return bool(folder) and any(
        _meets(each, folder) for each in service.get("volumes") or ()
    )


def _meets(written: Any, folder: str) -> bool:
    volume = read_volume(written)
    target = resolved(volume.target) if volume else None
    if target is None:
        return True
    place = "/" + posixpath.normpath(target).lstrip("/")
    return posixpath.commonpath((place, folder)) in (place, folder)


def _port(server: str, started: Started) -> int | None:
    """Return the port that a server listens on; None where the host has no way to it,
    or where it cannot be told."""
    environment = started.environment
    if server == "ollama":
        return _ollama_port(environment.get("OLLAMA_HOST", "127.0.0.1"))
    known = _SERVERS.get(server)
    words = vllm_words(started) if server == "vllm" else plain_words(started.words)
    if known is None or words is None or _is_unsure(known, words, environment):
        return None
    options = Options(words)
    port = _given(
        options, known.port_options, environment, known.port_variable, str(known.port)
    )
    host = _given(
        options, known.host_options, environment, known.host_variable, known.host
    )
    if host is None or host == _LEFT_OPEN or host in _LOOPBACKS or "/" in host:
        return None
    return _number(port)


def _is_unsure(
    known: _Server, words: tuple[Word, ...], environment: Mapping[str, Word]
) -> bool:
    """Tell whether a server may answer otherwise than one does by itself."""
    if not Options(words).are_known:
        return True
    variables = (*known.unsure_variables, known.port_variable, known.host_variable)
    for word in words:
        name, equals, _ = (word or "").partition("=")
        # A script may set a variable before it starts the server.
        if equals and name in variables:
            return True
        if name.replace("_", "-").startswith(known.unsure_options):
            return True
    return any(
        value is None or value.lower() not in _OFF
        for name, value in environment.items()
        if name.upper() in known.unsure_variables
    )


def _given(
    options: Options,
    names: tuple[str, ...],
    environment: Mapping[str, Word],
    variable: str,
    default: str,
) -> Word:
    there, value = options.value(*names) if names else (False, None)
    if there:
        return value
    return environment.get(variable, default) if variable else default


def _ollama_port(written: Word) -> int | None:
    """Return the port of OLLAMA_HOST: HOST, HOST:PORT or URL; 11434 without one."""
    if written is None:
        return None
    address = written.rpartition("//")[2].partition("/")[0]
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        if "//" in written:
            # The port of a URL without one is that of its scheme.
            return None
        host, port = address, "11434"
    return None if host == _LEFT_OPEN or host in _LOOPBACKS else _number(port)


def _number(text: Word) -> int | None:
    if not (text or "").isdigit():
        return None
    number = int(text or "")
    return number if 0 < number < 1 << 16 else None
