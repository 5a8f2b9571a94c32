"""Rules about the container engine and Compose."""

from __future__ import annotations

from typing import Iterator, Optional

from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import ServiceNeeds
from sealift_manifests.preflight.versions import at_least

OLDEST_DOCKER = "20.10"
CDI_PODMAN = "4.1"
COMPOSE_GPUS = "2.30"
COMPOSE_CDI, COMPOSE_CDI_UNKNOWN = "2.40", "2.27"
"""`devices:` with CDI names: works from the first on, fails before the second; between
them nobody tried."""

COMPOSE_2 = "2"
COMPOSE_1_ENGINE = "21"
"""docker-compose 1.x is for engines before this."""

_FAULT_SLUGS = {
    "not-installed": "engine-missing",
    "no-permission": "engine-permission",
}


def engine_answers(case: Case) -> Iterator[Finding]:
    """Expect an engine that answers and is not too old."""
    engine = case.facts.engine
    if engine is not None and engine.fault:
        slug = _FAULT_SLUGS.get(engine.fault.slug, "engine-down")
        said = engine.fault.text.strip() or engine.fault.slug
        yield found(slug, "host", said, "an engine that answers")
    elif engine is None or engine.version is None:
        yield found("engine-unknown", "host", "not known", "a container engine")
    elif engine.kind == "docker" and at_least(engine.version, OLDEST_DOCKER) is False:
        measured, needed = f"Docker {engine.version}", f"Docker {OLDEST_DOCKER}"
        yield found("engine-too-old", "host", measured, needed, version=OLDEST_DOCKER)


def podman_gives_gpus(case: Case) -> Iterator[Finding]:
    """Expect Podman to be new enough for CDI, and to be asked for CDI devices."""
    engine = case.facts.engine
    if engine is None or engine.kind != "podman":
        return
    machine = case.facts.machine
    for service in case.services:
        if not service.wants_gpu:
            continue
        about, measured = f"service {service.name}", f"Podman {engine.version}"
        if at_least(engine.version, CDI_PODMAN) is False:
            needed = f"Podman {CDI_PODMAN} or newer"
            yield found("podman-too-old", about, measured, needed)
        elif service.gpu and service.gpu.form != "devices":
            measured = f"Podman, asked by {service.gpu.form}"
            yield found("podman-gpu-form", about, measured, "CDI devices")
        if machine and machine.selinux == "enforcing":
            needed = "label=disable"
            yield found("podman-selinux", about, "SELinux is enforcing", needed)


def compose_takes_stack(case: Case) -> Iterator[Finding]:
    """Expect a Compose that gives each service GPUs in the form it asks for them."""
    compose = case.facts.compose
    if not case.services:
        return
    if compose is not None and compose.installed is False:
        yield found("compose-missing", "host", "no Compose", "Compose 2")
        return
    version = compose.version if compose else None
    for service in case.services:
        finding = _form(service, version)
        if finding:
            yield finding
    engine = case.facts.engine
    if engine is None or engine.kind != "docker":
        return
    new = at_least(engine.version, COMPOSE_1_ENGINE)
    if at_least(version, COMPOSE_2) is False and new:
        measured = f"docker-compose {version}, Docker {engine.version}"
        yield found("compose-v1", "host", measured, "Compose 2")


def _form(service: ServiceNeeds, version: Optional[str]) -> Optional[Finding]:
    form = service.gpu.form if service.gpu else ""
    about, measured = (
        f"service {service.name}",
        f"Compose {version or 'unknown'}, {form}",
    )
    if form == "gpus":
        enough, needed = at_least(version, COMPOSE_GPUS), COMPOSE_GPUS
    elif form == "devices":
        enough, needed = _takes_cdi(version), COMPOSE_CDI
    else:
        return None
    if enough:
        return None
    slug = "compose-unknown" if enough is None else "compose-too-old"
    return found(slug, about, measured, f"Compose {needed} or newer", version=needed)


def _takes_cdi(version: Optional[str]) -> Optional[bool]:
    if at_least(version, COMPOSE_CDI):
        return True
    return None if at_least(version, COMPOSE_CDI_UNKNOWN) is not False else False
