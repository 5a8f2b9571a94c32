"""Rules about the GPUs a service asks for: are they there, and how many are they?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.facts import Gpu
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.memory import DEFAULT_THOUSANDTHS
from sealift_manifests.preflight.needs import ServiceNeeds

_NONE = ("", "void", "none")


@dataclass(frozen=True)
class Device:
    """What a service computes on: a GPU, or a MIG instance of one. Sizes in bytes."""

    label: str
    total: Optional[int]
    free: Optional[int]


def devices_of(case: Case, service: ServiceNeeds) -> Optional[Tuple[Device, ...]]:
    """Return the devices a service gets; None where that cannot be told."""
    gpus = case.selected(service)
    if gpus is None:
        return None
    ids = service.gpu.ids if service.gpu else ()
    devices: List[Device] = []
    for gpu in gpus:
        devices.extend(_parts(case, gpu, ids))
    return tuple(devices)


def _parts(case: Case, gpu: Gpu, ids: Tuple[str, ...]) -> Iterator[Device]:
    label = f"GPU {gpu.index}"
    if gpu.mig:
        for number, part in enumerate(gpu.mig_instances or ()):
            named = [name for name in ids if "MIG-" in name]
            if not named or any(part.uuid and part.uuid in name for name in named):
                yield Device(f"{label} MIG {number}", part.memory_total, None)
    elif gpu.unified_memory:
        machine = case.facts.machine
        total = machine.memory_total if machine else None
        yield Device(label, total, machine.memory_available if machine else None)
    else:
        yield Device(label, gpu.memory_total, gpu.memory_free)


def gpus_asked_for_are_there(case: Case) -> Iterator[Finding]:
    """Expect the GPUs that services name or count."""
    for service in case.services:
        if service.wants_gpu and case.facts.gpus:
            yield from _missing(case, service)


def gpus_are_not_shared(case: Case) -> Iterator[Finding]:
    """Expect one container of a service that uses GPUs: each gets the same ones."""
    for service in case.services:
        if service.wants_gpu and service.replicas:
            share = service.memory_thousandths or DEFAULT_THOUSANDTHS
            is_much = service.server == "vllm" and share * service.replicas > 1000
            yield found(
                "gpu-shared",
                f"service {service.name}",
                f"{service.replicas} containers on the same GPUs",
                "one container",
                level="fail" if is_much else "warn",
            )


def _missing(case: Case, service: ServiceNeeds) -> Iterator[Finding]:
    about, request = f"service {service.name}", service.gpu
    there = f"{len(case.gpus)} GPUs"
    if request is None:
        return
    if request.form == "runtime":
        if case.visible(service) in _NONE:
            measured = "NVIDIA_VISIBLE_DEVICES is not set"
            yield found("gpu-not-visible", about, measured, "the GPUs it shall have")
            return
    elif not request.ids and request.count and request.count > len(case.gpus):
        needed = f"{request.count} GPUs"
        yield found("gpu-too-few", about, there, needed)
        return
    for name in request.ids:
        if case.named(name) == ():
            yield found("gpu-not-there", about, there, f"GPU {name}")
    devices = devices_of(case, service)
    wanted = (service.tensor_parallel or 1) * (service.pipeline_parallel or 1)
    if devices is not None and 0 < len(devices) < wanted:
        measured = f"{len(devices)} GPUs for the service"
        yield found("gpu-too-few", about, measured, f"{wanted} GPUs")
