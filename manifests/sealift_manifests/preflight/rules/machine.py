"""Rules about the machine: architecture, Python, clock, ports, and what is unread."""

from __future__ import annotations

from typing import Iterator, Optional, Tuple

from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.facts import ListeningPort
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import PublishedPort, ServiceNeeds
from sealift_manifests.preflight.versions import at_least

OLDEST_PYTHON = "3.8"
PLATFORMS = {
    "x86_64": "linux/amd64",
    "amd64": "linux/amd64",
    "aarch64": "linux/arm64",
    "arm64": "linux/arm64",
}
_EVERY = ("", "*", "0.0.0.0", "::")
_OF_CONTAINERS = ("docker-proxy", "rootlessport", "conmon", "pasta", "slirp4netns")


def platform_is_the_bundles(case: Case) -> Iterator[Finding]:
    """Expect the machine's architecture to be the bundle's."""
    machine, needs = case.facts.machine, case.needs
    if machine is None or machine.arch is None or needs is None or not needs.platform:
        return
    have = PLATFORMS.get(machine.arch, f"linux/{machine.arch}")
    if have != needs.platform:
        yield found("platform-wrong", "host", have, needs.platform, platform=have)


def python_runs_installer(case: Case) -> Iterator[Finding]:
    """Expect a Python that the installer runs on."""
    machine = case.facts.machine
    if machine and at_least(machine.python, OLDEST_PYTHON) is False:
        needed = f"Python {OLDEST_PYTHON} or newer"
        yield found("python-too-old", "host", f"Python {machine.python}", needed)


def clock_is_right(case: Case) -> Iterator[Finding]:
    """Expect a clock after the bundle's own time, and something that keeps it.

    Without a bundle: after the day of the tables.
    """
    machine, needs = case.facts.machine, case.needs
    clock = machine.clock if machine else None
    created = needs.created if needs else case.tables.as_of
    # Both are UTC in one spelling, so their text is in the order of time.
    if clock and created and clock < created:
        yield found("clock-behind", "host", clock, f"after {created}")
    if machine and machine.clock_synced is False:
        yield found(
            "clock-unsynced", "host", "not synchronised", "a clock that is kept"
        )


def ports_are_free(case: Case) -> Iterator[Finding]:
    """Expect that nothing listens where a service shall."""
    machine = case.facts.machine
    for service in case.services:
        about = f"service {service.name}"
        if service.ports is None:
            yield found("ports-unknown", about, "its ports are not known", "free ports")
        elif service.ports and (machine is None or machine.ports is None):
            measured = "the ports in use are not known"
            yield found("ports-unknown", about, measured, "free ports")
        else:
            taken = machine.ports if machine and machine.ports else ()
            if service.ports and service.replicas:
                number = service.ports[0].port
                measured = f"{service.replicas} containers publish port {number}"
                yield found("port-shared", about, measured, "one container")
            for port in service.ports:
                yield from _clash(service, port, taken)


def _clash(
    service: ServiceNeeds, port: PublishedPort, taken: Tuple[ListeningPort, ...]
) -> Iterator[Finding]:
    for other in taken:
        if (other.port, other.protocol) != (port.port, port.protocol):
            continue
        if other.address != port.address and not (
            other.address in _EVERY or port.address in _EVERY
        ):
            continue
        owner = other.owner or "something"
        yield found(
            "port-taken",
            f"service {service.name}",
            f"{owner} listens on {other.address}, port {port.port}/{port.protocol}",
            f"port {port.port} free",
            level="warn" if _is_container(other.owner) else "fail",
            port=str(port.port),
        )
        return


def _is_container(owner: Optional[str]) -> bool:
    return owner is not None and any(name in owner for name in _OF_CONTAINERS)


def everything_was_read(case: Case) -> Iterator[Finding]:
    """Name what could not be read, on the host and in the manifest."""
    for fault in case.facts.faults:
        measured = f"{fault.slug}: {fault.text}" if fault.text else fault.slug
        yield found("probe-failed", fault.probe, measured, "an answer")
    for name in case.needs.unread if case.needs else ():
        yield found("needs-unread", name, "not of the expected type", "a note")
