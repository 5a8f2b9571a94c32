"""A row of the host table, and short ways to write its hosts and bundles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from preflight_making import (
    GIB,
    LLAMA_8B,
    a_bundle,
    a_gpu,
    a_host,
    a_service,
    an_image,
)
from sealift_manifests.preflight.facts import (
    CdiSpec,
    Engine,
    FabricManager,
    Fault,
    FileSystem,
    HostFacts,
    KernelLog,
    ListeningPort,
    Xid,
)
from sealift_manifests.preflight.needs import (
    GpuRequest,
    Needs,
    PublishedPort,
)


class Row(NamedTuple):
    """A case."""

    source: str
    case: str
    host: HostFacts
    needs: Needs | None
    expected: str


def gpu_host(kind: str = "L40S", **changes: Any) -> HostFacts:
    """Return a host whose one GPU has something changed."""
    return a_host(gpu=kind, gpus=(a_gpu(kind, **changes),))


def form(name: str, *ids: str, **changes: Any) -> Needs:
    """Return a bundle that asks for GPUs in a form."""
    count = None if ids else -1
    driver = "nvidia" if name == "reservations" else None
    return a_bundle(
        None, a_service(gpu=GpuRequest(name, count, ids, driver), **changes)
    )


def stale(*versions: str, **changes: Any) -> CdiSpec:
    """Return a CDI specification of this host's one GPU."""
    spec = CdiSpec("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0", "all"), versions)
    return replace(spec, **changes)


def ports(*taken: ListeningPort) -> HostFacts:
    """Return a host on which something listens."""
    return a_host(machine={"ports": taken})


def room(docker: int, state: int, **changes: Any) -> HostFacts:
    """Return a host with so many GiB free; inodes=N on the state directory's."""
    same = changes.pop("same", False)
    inodes = changes.pop("engine_inodes", None)
    systems = (
        FileSystem(
            "/var/lib/docker", "engine", 1, free=docker * GIB, free_inodes=inodes
        ),
        FileSystem(
            "/srv",
            "state",
            1 if same else 2,
            free=state * GIB,
            free_inodes=changes.pop("inodes", None),
        ),
    )
    return a_host(machine={"file_systems": systems}, **changes)


def serving_llama(max_model_len: int) -> Needs:
    """Return a bundle with one server of an 8B model."""
    service = a_service(models=("llama",), max_model_len=max_model_len)
    return a_bundle(None, service, model=LLAMA_8B)


CDI = form("devices", "nvidia.com/gpu=all")
RUNTIME = form("runtime")
FRESH = (stale("580.95.05"),)
PUBLISHING = a_bundle(None, a_service(ports=(PublishedPort(8000),)))
ON_LOOPBACK = a_bundle(
    None, a_service(ports=(PublishedPort(8000, "tcp", "127.0.0.1"),))
)
OPEN_MODULES = (
    "NVRM: installed in this system requires use of the NVIDIA open kernel modules."
)
GOOD_FM = FabricManager(True, "580.95.05", True)


def fault(slug: str) -> HostFacts:
    """Return a host whose driver cannot be asked."""
    said = Fault(slug, "what it said")
    return a_host(driver={"fault": said, "loaded": None, "user_space": None}, gpus=None)


def fabric(manager: FabricManager | None, **changes: Any) -> HostFacts:
    """Return a host with NVSwitch."""
    return a_host(gpu="H100", nvswitch=True, fabric_manager=manager, **changes)


def xids(*numbers: int) -> HostFacts:
    """Return a host whose kernel log has these Xids."""
    return a_host(kernel_log=KernelLog(tuple(Xid(n, "0000:01:00") for n in numbers)))


def docker(version: str, **changes: Any) -> HostFacts:
    """Return a host with another Docker."""
    return a_host(engine={"version": version, **changes})


def toolkit(**changes: Any) -> HostFacts:
    """Return a host with another container toolkit."""
    return a_host(toolkit=changes)


def podman(version: str = "5.4.2", **changes: Any) -> HostFacts:
    """Return a host with Podman."""
    engine = Engine("podman", version, image_store="graphdriver")
    return a_host(engine=engine, cdi_specs=FRESH, **changes)


GOOD = a_bundle()
TWO_IMAGES = replace(
    GOOD, images=(an_image(), an_image(name="other", cuda="", builds=()))
)
CVE = "container toolkit, CVEs"
NO_GPU = a_bundle(
    an_image(cuda="", builds=()), a_service(wants_gpu=False, gpu=None, server="other")
)
