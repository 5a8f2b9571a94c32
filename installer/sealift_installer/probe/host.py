"""Read a whole host: `probe_host`. A part that breaks leaves the others standing."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Iterable, List, Optional, Tuple, TypeVar

from sealift_manifests.errors import SealiftError
from sealift_manifests.preflight.facts import Compose as ComposeFacts
from sealift_manifests.preflight.facts import Engine as EngineFacts
from sealift_manifests.preflight.facts import HostFacts, ProbeFault

from sealift_installer.compose import Compose
from sealift_installer.engine import Engine
from sealift_installer.probe import kernel
from sealift_installer.probe.cdi import read_specs
from sealift_installer.probe.driver import read_driver
from sealift_installer.probe.engine_facts import engine_started, read_engine
from sealift_installer.probe.fabric import read_fabric_manager
from sealift_installer.probe.machine import Place, host_name, read_machine
from sealift_installer.probe.processes import as_time
from sealift_installer.probe.sources import Sources
from sealift_installer.probe.toolkit import read_toolkit

T = TypeVar("T")


class _Parts:
    """Reads parts of a host and keeps what went wrong with each."""

    def __init__(self) -> None:
        self.faults: List[ProbeFault] = []

    def read(self, name: str, reading: Callable[[], T]) -> Optional[T]:
        try:
            return reading()
        # A host can hold anything, and the other parts are wanted all the more
        # when one is odd; the fault is told, as a finding.
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self.faults.append(ProbeFault(name, "unknown-error", text))
            return None


def probe_host(
    sources: Sources, engine: Engine, places: Iterable[Place] = ()
) -> HostFacts:
    """Return all that can be known of a host; nothing is changed on it.

    `places` are paths whose file systems matter, beside the engine's data.
    """
    parts = _Parts()
    read = parts.read
    driver = read("driver", lambda: read_driver(sources))
    said, started = read("engine", lambda: _engine(sources, engine)) or (None, None)
    wanted = [*places, ("/tmp", "temporary")]
    if said and said.data_root:
        wanted.insert(0, (said.data_root, "engine"))
    rootless = bool(said and said.rootless)
    dirs = said.cdi_dirs if said else None
    return HostFacts(
        taken=sources.now(),
        name=host_name(sources),
        driver=driver[0] if driver else None,
        gpus=driver[1] if driver else None,
        pci_gpus=read("pci", lambda: kernel.pci_gpus(sources)),
        nvswitch=read("nvswitch", lambda: kernel.has_nvswitch(sources)),
        fabric_manager=read("fabric-manager", lambda: read_fabric_manager(sources)),
        kernel_log=read("kernel-log", lambda: kernel.kernel_log(sources)),
        engine=said,
        toolkit=read(
            "toolkit",
            lambda: read_toolkit(sources, started=started, rootless=rootless),
        ),
        cdi_specs=read("cdi", lambda: read_specs(sources, dirs)),
        compose=read("compose", lambda: _compose(sources, engine)),
        machine=read("machine", lambda: read_machine(sources, wanted)),
        faults=tuple(parts.faults),
    )


def _engine(sources: Sources, engine: Engine) -> Tuple[EngineFacts, Optional[float]]:
    said = read_engine(sources, engine)
    if said.kind == "podman":
        return said, None  # Podman has no daemon that could be older than a tool.
    started = engine_started(sources, rootless=said.rootless is True)
    return replace(said, started=as_time(started)), started


def _compose(sources: Sources, engine: Engine) -> ComposeFacts:
    try:
        found = Compose.find(engine, {"PATH": sources.path, "HOME": sources.home})
    except SealiftError:
        return ComposeFacts(installed=False)
    return ComposeFacts(installed=True, version=".".join(map(str, found.version)))
