"""What could be better about how services run their images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sealift_manifests.preflight.findings import Finding
from sealift_manifests.stack_entries import Service

from sealift_bundler.compose import Stack
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.serving.services import server_started

from .catalog import advice

_HUB = ("HF_HUB_OFFLINE",)
_SWITCHES = {
    "vllm": (*_HUB, "VLLM_NO_USAGE_STATS"),
    "tgi": _HUB,
    "ollama": ("OLLAMA_NOPRUNE",),
    "open-webui": ("OFFLINE_MODE", *_HUB),
    "qdrant": ("QDRANT__TELEMETRY_DISABLED",),
}
"""Variables that each server must have set, or it looks outside (of Ollama: or it
tries to tidy up a store that is mounted read-only)."""

_ROOT = ("", "0", "root")
_FETCHES = re.compile(
    r"\b(?:ollama\s+pull|pip3?\s+install|uv\s+pip\s+install|apt(?:-get)?\s+(?:update|"
    r"install)|apk\s+add|npm\s+(?:install|ci)|git\s+clone|(?:hf|huggingface-cli)\s+"
    r"download|docker\s+pull)\b"
    r"|\b(?:curl|wget)\b(?=[^|;&]*https?://(?!localhost|127\.|\[::1\]|[a-z0-9_-]+(?:[:/]|\s|$)))"
)
"""Commands that reach outside; of curl and wget those to a name with a dot in it."""


def services_advice(
    stack: Stack, configs: Mapping[str, ImageConfig]
) -> Iterator[Finding]:
    """Yield what could be better about each service; `configs` by image key."""
    for name, network in (stack.value.get("networks") or {}).items():
        if isinstance(network, Mapping) and network.get("external"):
            yield advice("network-external", "stack", f"network {name} is external")
    for entry in stack.services:
        yield from _advice(stack, entry, configs[entry.image])


def _advice(stack: Stack, entry: Service, image: ImageConfig) -> Iterator[Finding]:
    about, key = f"service {entry.name}", entry.image
    service = stack.value["services"][entry.name]
    user = str(service.get("user") or image.user).partition(":")[0]
    if user in _ROOT:
        yield advice("image-runs-as-root", about, f"image {key} names no other user")
    check = service.get("healthcheck")
    is_off = isinstance(check, Mapping) and str(check.get("disable")).lower() == "true"
    if is_off or not (check or image.has_healthcheck):
        measured = "it is switched off" if is_off else f"none, and image {key} has none"
        yield advice("image-no-healthcheck", about, measured)
    fetched = sorted(set(_downloads(service, _last_name(stack.reference(key)))))
    if fetched:
        yield advice("service-downloads", about, f"it runs {', '.join(fetched)}")
    server, environment = server_started(stack, entry.name, image)
    if server == "other":
        server = _by_name(stack.reference(key))
    missing = [name for name in _SWITCHES.get(server, ()) if name not in environment]
    if missing:
        measured = f"{server} without {', '.join(missing)}"
        yield advice("offline-switch-missing", about, measured)


def _downloads(service: Mapping[str, Any], image: str) -> Iterator[str]:
    """Yield the commands of a service that fetch something from outside.

    An image that is called after a program starts it: the command is its arguments.
    """
    for key in ("entrypoint", "command", "post_start"):
        starts = image if key == "command" and not service.get("entrypoint") else ""
        for text in _texts(service.get(key)):
            found = _FETCHES.finditer(f"{starts} {text}")
            yield from (" ".join(match[0].split()) for match in found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        # A list is one command: its words may stand apart.
        yield " ".join(str(each) for each in value if isinstance(each, str))
        for each in value:
            yield from _texts(each) if isinstance(each, Mapping) else ()
    elif isinstance(value, Mapping):
        yield from _texts(value.get("command"))


def _by_name(reference: str) -> str:
    """Return the server that an image's name tells, where its command does not."""
    last = _last_name(reference)
    return last if last in _SWITCHES else "other"


def _last_name(reference: str) -> str:
    name = reference.rpartition("@")[0] or reference
    return name.rpartition("/")[2].partition(":")[0]
