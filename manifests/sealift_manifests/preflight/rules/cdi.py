"""Rules about CDI: on, fresh, and with the devices that services ask for."""

from __future__ import annotations

from typing import Iterator, Optional, Tuple

from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.facts import CdiSpec
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import ServiceNeeds
from sealift_manifests.preflight.paths import CDI_KIND, cdi_devices, gpu_path
from sealift_manifests.preflight.versions import at_least
from sealift_manifests.sizes import counted

CDI_DOCKER = "25"
CDI_DEFAULT_DOCKER = "28.2"


def cdi_serves_services(case: Case) -> Iterator[Finding]:
    """Expect the engine to do CDI and to know what the services ask for."""
    for service in case.services:
        if service.wants_gpu and gpu_path(case.facts, service.gpu) == "cdi":
            finding = _off(case, service) or _missing(case, service)
            if finding:
                yield finding


def _off(case: Case, service: ServiceNeeds) -> Optional[Finding]:
    engine = case.facts.engine
    if engine is None or engine.kind != "docker":
        return None
    about, version = f"service {service.name}", engine.version
    needed = f"Docker {CDI_DOCKER} or newer with CDI on"
    if at_least(version, CDI_DOCKER) is False:
        return found("cdi-off", about, f"Docker {version}", needed)
    on = engine.cdi
    if on is None and at_least(version, CDI_DEFAULT_DOCKER) is not True:
        return found("cdi-unknown", about, "not known whether CDI is on", needed)
    if on is False:
        return found("cdi-off", about, f"Docker {version}, CDI is off", needed)
    return None


def _missing(case: Case, service: ServiceNeeds) -> Optional[Finding]:
    devices, about = cdi_devices(case.facts), f"service {service.name}"
    if devices is None:
        return found("cdi-unknown", about, "CDI devices not known", f"{CDI_KIND}=all")
    if not devices:
        return found("cdi-missing", about, "no CDI device", f"{CDI_KIND}=all")
    for name in _asked(service):
        if name not in devices:
            measured = f"devices {', '.join(sorted(devices))}"
            return found("cdi-device-missing", about, measured, name)
    return None


def _asked(service: ServiceNeeds) -> Tuple[str, ...]:
    ids = service.gpu.ids if service.gpu else ()
    prefix = f"{CDI_KIND}="
    return tuple(name if name.startswith(prefix) else prefix + name for name in ids)


def cdi_specs_are_fresh(case: Case) -> Iterator[Finding]:
    """Expect CDI specifications to name files of the driver that runs."""
    used = any(
        service.wants_gpu and gpu_path(case.facts, service.gpu) == "cdi"
        for service in case.services
    )
    for spec in case.facts.cdi_specs or ():
        if spec.kind is not None and spec.kind != CDI_KIND:
            continue
        measured = _staleness(spec, case.driver_version)
        if measured:
            yield found(
                "cdi-stale",
                spec.path,
                measured,
                f"driver {case.driver_version or 'that runs'}",
                level="fail" if used else "warn",
                path=spec.path,
            )


def _staleness(spec: CdiSpec, driver: Optional[str]) -> str:
    others = [version for version in spec.driver_versions or () if version != driver]
    if driver and others:
        return f"names libraries of driver {', '.join(others)}"
    if spec.missing:
        gone = counted(len(spec.missing), "file")
        return f"names {gone} now missing: {spec.missing[0]}"
    return ""
