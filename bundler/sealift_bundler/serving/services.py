"""From a checked Compose file to what each of its services asks of a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sealift_manifests.errors import SpecError
from sealift_manifests.preflight.needs import ServiceNeeds

from sealift_bundler.compose import Stack
from sealift_bundler.compose_check import env_files
from sealift_bundler.insides.needs import ImageConfig

from .config_files import mounted_files
from .gpus import gpu_wish
from .ports import published_ports
from .servers import Started, server_of, sizing
from .words import Word, command_words, env_file_values, environment_of, resolved

_MOST_ENV_FILE = 1 << 20


def services_needs(
    stack: Stack, configs: Mapping[str, ImageConfig]
) -> tuple[ServiceNeeds, ...]:
    """Return what each service asks for, in order of names.

    `configs` has the configs of the images that are known, by the image's key.
    """
    services = stack.value["services"]
    return tuple(
        _service(stack, entry.name, services[entry.name], configs.get(entry.image))
        for entry in stack.services
    )


def _service(
    stack: Stack, name: str, service: Mapping[str, Any], image: ImageConfig | None
) -> ServiceNeeds:
    own = environment_of_service(stack, service)
    wants_gpu, request = gpu_wish(service)
    needs = ServiceNeeds(
        name=name,
        image=stack.images[name],
        models=stack.models[name],
        wants_gpu=wants_gpu,
        gpu=request,
        server=None,
        disable_require=own.get("NVIDIA_DISABLE_REQUIRE"),
        visible_devices=own.get("NVIDIA_VISIBLE_DEVICES"),
        ports=published_ports(service),
    )
    environment = {**(image.environment if image else {}), **own}
    words = words_of(service, image)
    server = server_of(words)
    if server == "other" and image is None and service.get("entrypoint") is None:
        # What the image itself starts is not known yet.
        return needs
    started = Started(
        words,
        environment,
        mounted_files(stack, service),
        resolved(service.get("working_dir")) or "",
    )
    found = sizing(server, started)
    return replace(needs, **{"server": server, **found})


def started_by(
    stack: Stack, service: Mapping[str, Any], image: ImageConfig
) -> tuple[str, Mapping[str, Word]]:
    """Return which server a service runs ("other": not known), and its environment."""
    own = environment_of_service(stack, service)
    return server_of(words_of(service, image)), {**image.environment, **own}


def words_of(service: Mapping[str, Any], image: ImageConfig | None) -> tuple[Word, ...]:
    """Return what is started; the service's entrypoint drops the image's command."""
    entrypoint = command_words(service.get("entrypoint"))
    command = command_words(service.get("command"))
    if entrypoint is None:
        entrypoint = image.entrypoint if image else ()
        if command is None:
            command = image.command if image else ()
    return (*entrypoint, *(command or ()))


def environment_of_service(stack: Stack, service: Mapping[str, Any]) -> dict[str, Word]:
    """Return the variables that a service sets itself, also by files."""
    found: dict[str, Word] = {}
    for path, _ in env_files(service.get("env_file")):
        source = stack.file(path)
        if source:
            try:
                with source.open(encoding="utf-8", errors="replace") as file:
                    found |= env_file_values(file.read(_MOST_ENV_FILE).splitlines())
            except OSError as error:
                raise SpecError(
                    f"{source} cannot be read: {error.strerror}",
                    hint="Make it readable; the stack's env_file goes with the bundle.",
                ) from error
    return found | environment_of(service.get("environment"))
