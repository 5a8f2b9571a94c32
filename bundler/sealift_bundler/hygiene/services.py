"""What could be better about how services run their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sealift_manifests.preflight.findings import Finding

from sealift_bundler.compose import Stack
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.serving.services import started_by

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


def services_advice(
    stack: Stack, configs: Mapping[str, ImageConfig]
) -> Iterator[Finding]:
    """Yield what could be better about each service; `configs` by image key."""
    services = stack.value["services"]
    for entry in stack.services:
        about = f"service {entry.name}"
        yield from _advice(
            about, stack, services[entry.name], configs[entry.image], entry.image
        )


def _advice(
    about: str,
    stack: Stack,
    service: Mapping[str, Any],
    image: ImageConfig,
    key: str,
) -> Iterator[Finding]:
    user = str(service.get("user") or image.user).partition(":")[0]
    if user in _ROOT:
        yield advice("image-runs-as-root", about, f"image {key} names no other user")
    check = service.get("healthcheck")
    is_off = isinstance(check, Mapping) and str(check.get("disable")).lower() == "true"
    if is_off or not (check or image.has_healthcheck):
        measured = "it is switched off" if is_off else f"none, and image {key} has none"
        yield advice("image-no-healthcheck", about, measured)
    server, environment = started_by(stack, service, image)
    if server == "other":
        server = _by_name(stack.reference(key))
    missing = [name for name in _SWITCHES.get(server, ()) if name not in environment]
    if missing:
        measured = f"{server} without {', '.join(missing)}"
        yield advice("offline-switch-missing", about, measured)


def _by_name(reference: str) -> str:
    """Return the server that an image's name tells, where its command does not."""
    name = reference.rpartition("@")[0] or reference
    last = name.rpartition("/")[2].partition(":")[0]
    return last if last in _SWITCHES else "other"
