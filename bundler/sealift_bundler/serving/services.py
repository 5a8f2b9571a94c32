"""From a checked Compose file to what each of its services asks of a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sealift_manifests.errors import SpecError
from sealift_manifests.preflight.needs import ServiceNeeds
from sealift_manifests.serving.servers import server_of
from sealift_manifests.serving.words import Word, env_file_values
from sealift_manifests.serving.written import (
    lines_of,
    literal,
    names_of,
    needs_written,
    started_by,
)

from sealift_bundler.compose import Stack
from sealift_bundler.compose_check import env_files
from sealift_bundler.insides.needs import ImageConfig

from .config_files import mounted_options

_MOST_ENV_FILE = 1 << 20
_KEPT = (
    "entrypoint",
    "command",
    "working_dir",
    "network_mode",
    "runtime",
    "gpus",
    "scale",
)
_KEPT_OF_A_PORT = ("published", "host_ip", "protocol", "target")
_KEPT_OF_A_DEVICE = ("driver", "count", "device_ids", "capabilities", "source")


def services_needs(
    stack: Stack, configs: Mapping[str, ImageConfig]
) -> tuple[ServiceNeeds, ...]:
    """Return what each service asks for, in order of names.

    `configs` has the configs of the images that are known, by the image's key.
    """
    return tuple(
        replace(
            needs_written(written(stack, entry.name, configs.get(entry.image))),
            image=entry.image,
            models=entry.models,
        )
        for entry in stack.services
    )


def services_written(
    stack: Stack, configs: Mapping[str, ImageConfig]
) -> list[dict[str, Any]]:
    """Return the services whose needs hang on a setting, as a note has them."""
    settings = {setting.name for setting in stack.site.settings}
    notes = (
        written(stack, entry.name, configs.get(entry.image)) for entry in stack.services
    )
    return [note for note in notes if settings.intersection(names_of(note))]


def server_started(
    stack: Stack, name: str, image: ImageConfig
) -> tuple[str, Mapping[str, Word]]:
    """Return which server a service runs ("other": not known), and its environment."""
    started = started_by(written(stack, name, image))
    return server_of(started.words), started.environment


def written(stack: Stack, name: str, image: ImageConfig | None) -> dict[str, Any]:
    """Return a service as `serving.written` describes it."""
    service = stack.value["services"][name]
    kept = {key: service[key] for key in _KEPT if service.get(key) is not None}
    if isinstance(service.get("gpus"), list):
        kept["gpus"] = [_only(_KEPT_OF_A_DEVICE, each) for each in service["gpus"]]
    if "ports" in service:
        kept["ports"] = _each(_KEPT_OF_A_PORT, service["ports"])
    if "devices" in service:
        kept["devices"] = _each(_KEPT_OF_A_DEVICE, service["devices"])
    if deploy := _deploy(service.get("deploy")):
        kept["deploy"] = deploy
    kept["environment"] = list(_environment(stack, service))
    note: dict[str, Any] = {"name": name, "service": kept}
    if image is not None:
        note["image"] = {
            "environment": lines_of(image.environment),
            "entrypoint": [literal(word) for word in image.entrypoint],
            "command": [literal(word) for word in image.command],
        }
    options = mounted_options(stack, service)
    if options:
        note["files"] = [[path, list(words)] for path, words in options.items()]
    return note


def _deploy(written: Any) -> dict[str, Any]:
    """Return how many containers a service has, and the devices it reserves."""
    kept: dict[str, Any] = {}
    if isinstance(written, Mapping) and written.get("replicas") is not None:
        kept["replicas"] = written["replicas"]
    devices = written
    for key in ("resources", "reservations", "devices"):
        devices = devices.get(key) if isinstance(devices, Mapping) else None
    if devices is not None:
        reserved = {"devices": _each(_KEPT_OF_A_DEVICE, devices)}
        kept["resources"] = {"reservations": reserved}
    return kept


def _each(keys: tuple[str, ...], listed: Any) -> Any:
    return [_only(keys, each) for each in listed] if isinstance(listed, list) else None


def _only(keys: tuple[str, ...], held: Any) -> Any:
    """Leave out what nobody asks for here: its keys might differ in case only."""
    if not isinstance(held, Mapping):
        return held
    return {key: held[key] for key in keys if key in held}


def _environment(stack: Stack, service: Mapping[str, Any]) -> Iterator[str]:
    """Yield the variables that a service sets, later ones before earlier in force."""
    for path, _ in env_files(service.get("env_file")):
        source = stack.file(path)
        if source:
            try:
                with source.open(encoding="utf-8", errors="replace") as file:
                    lines = file.read(_MOST_ENV_FILE).splitlines()
            except OSError as error:
                raise SpecError(
                    f"{source} cannot be read: {error.strerror}",
                    hint="Make it readable; the stack's env_file goes with the bundle.",
                ) from error
            yield from lines_of(env_file_values(lines))
    written = service.get("environment")
    if isinstance(written, Mapping):
        for name, held in written.items():
            yield f"{name}={held}" if isinstance(held, str) else str(name)
    elif isinstance(written, list):
        yield from map(str, written)
