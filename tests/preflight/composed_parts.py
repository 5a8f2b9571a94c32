"""Parts that hosts of `recordings/` are put together from, all in good order."""

from __future__ import annotations

from dataclasses import replace

import preflight_making
from driver_answers import MIB
from sealift_manifests.preflight.facts import (
    Compose,
    Driver,
    Engine,
    FabricManager,
    Fault,
    Gpu,
    HostFacts,
    KernelLog,
    ListeningPort,
    Machine,
    PciGpu,
)

GIB = 1 << 30
DIRS = ("/etc/cdi", "/var/run/cdi")
RUNTIMES = ("io.containerd.runc.v2", "nvidia", "runc")

MACHINE = Machine(
    os_id="ubuntu",
    os_version="22.04",
    kernel="5.15.0-125-generic",
    arch="x86_64",
    cpus=64,
    memory_total=512 * GIB,
    memory_available=480 * GIB,
    ports=(ListeningPort(22),),
    selinux="disabled",
    apparmor=True,
    clock_synced=True,
    systemd=True,
    secure_boot=False,
)
ENGINE = Engine(
    kind="docker",
    version="28.5.1",
    api_version="1.51",
    image_store="graphdriver",
    storage_driver="overlay2",
    cgroup_driver="cgroupfs",
    cgroup_version=2,
    runtimes=RUNTIMES,
    default_runtime="runc",
    cdi=True,
    cdi_dirs=DIRS,
    cdi_devices=(),
    rootless=False,
    snap=False,
    data_root="/var/lib/docker",
)
TOOLKIT = replace(
    preflight_making.TOOLKIT, cuda_compat_mode="", compat_hook_disabled=False
)


def driver(version: str, cuda: str, module: str = "open") -> Driver:
    """Return a driver that works."""
    return Driver(
        loaded=version,
        on_disk=version,
        user_space=version,
        module=module,
        cuda=cuda,
        nouveau=False,
        persistenced=True,
    )


def gpus(
    count: int, name: str, capability: str, memory: int, brand: str, **more: object
) -> tuple[Gpu, ...]:
    """Return GPUs that are alike, on buses of their own; memory in MiB."""
    server = brand != "GeForce"
    one = Gpu(
        index=0,
        name=name,
        compute_capability=capability,
        brand=brand,
        memory_total=memory * MIB,
        memory_free=(memory - 600) * MIB,
        ecc=True if server else None,
        ecc_uncorrected=0 if server else None,
        persistence=True,
        compute_mode="Default",
        unified_memory=False,
    )
    found = []
    for index in range(count):
        bus = f"0000:{0x1B + index * 0x20:02x}:00.0"
        uuid = f"GPU-0f1e2d3c-4b5a-6978-8796-{0xA5B4C3D2E1F0 + index:012x}"
        found.append(replace(one, index=index, bus_id=bus, uuid=uuid, **more))
    return tuple(found)


def host(
    name: str, driver: Driver, listed: tuple[Gpu, ...], device: str, **more: object
) -> HostFacts:
    """Return a sound host with these GPUs."""
    base = HostFacts(
        taken="2026-11-23T10:00:00Z",
        name=name,
        driver=driver,
        gpus=listed,
        pci_gpus=tuple(
            PciGpu(gpu.bus_id, f"10de:{device}", "nvidia")
            for gpu in listed
            if gpu.bus_id
        ),
        nvswitch=False,
        fabric_manager=FabricManager(installed=False, active=False),
        kernel_log=KernelLog(xids=()),
        engine=ENGINE,
        toolkit=TOOLKIT,
        cdi_specs=(),
        compose=Compose(installed=True, version="2.40.3"),
        machine=MACHINE,
    )
    return replace(base, **more)


HOPPER = {
    "mig": False,
    "mig_instances": (),
    "row_remap_pending": False,
    "row_remap_failed": False,
}
FABRIC = {**HOPPER, "fabric_state": "Completed", "fabric_status": "Success"}
H100 = gpus(8, "NVIDIA H100 80GB HBM3", "9.0", 81559, "NVIDIA", **FABRIC)
B200 = gpus(
    2,
    "NVIDIA B200",
    "10.0",
    183359,
    "NVIDIA",
    **HOPPER,
    fabric_state="In Progress",
    recovery_action="None",
)
L40S = gpus(2, "NVIDIA L40S", "8.9", 46068, "NVIDIA", **{**HOPPER, "mig": None})
L40S = tuple(replace(gpu, mig_instances=None) for gpu in L40S)
RTX_4090 = gpus(1, "NVIDIA GeForce RTX 4090", "8.9", 24564, "GeForce")
A100 = gpus(1, "NVIDIA A100-SXM4-80GB", "8.0", 81920, "NVIDIA", **HOPPER)
T4 = gpus(1, "Tesla T4", "7.5", 15360, "NVIDIA")
V100 = gpus(2, "Tesla V100-SXM2-32GB", "7.0", 32768, "Tesla")
GB10 = gpus(1, "NVIDIA GB10", "12.1", 1, "NVIDIA")
GB10 = tuple(
    replace(
        gpu,
        memory_total=None,
        memory_free=None,
        ecc=None,
        ecc_uncorrected=None,
        unified_memory=True,
    )
    for gpu in GB10
)
R580 = driver("580.95.05", "13.0")
R550 = driver("550.54.15", "12.4", "proprietary")


def broken(found: Driver, slug: str, **more: object) -> Driver:
    """Return a driver that could not be asked."""
    return replace(found, fault=Fault(slug), cuda=None, **more)
