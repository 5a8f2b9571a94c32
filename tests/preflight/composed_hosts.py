"""The hosts of `recordings/`: what each is, and its facts.

Composed from what vendors document; none was taken on hardware.
"""

from __future__ import annotations

from dataclasses import replace

from composed_parts import (
    A100,
    B200,
    ENGINE,
    GB10,
    GIB,
    H100,
    L40S,
    MACHINE,
    R550,
    R580,
    RTX_4090,
    T4,
    TOOLKIT,
    V100,
    broken,
    driver,
    host,
)
from driver_answers import MIB
from sealift_manifests.preflight.facts import (
    CdiSpec,
    Driver,
    FabricManager,
    Fault,
    Gpu,
    HostFacts,
    KernelLog,
    MigInstance,
    PciGpu,
    Xid,
)

SPEC = CdiSpec(
    path="/etc/cdi/nvidia.yaml",
    kind="nvidia.com/gpu",
    devices=("0", "1", "all"),
    driver_versions=("580.95.05",),
    missing=(),
)
PODMAN = replace(
    ENGINE,
    kind="podman",
    version="5.4.0",
    api_version="1.41",
    image_store=None,
    storage_driver="overlay",
    cgroup_driver="systemd",
    default_runtime="crun",
    runtimes=("crun", "runc"),
    cdi_dirs=None,
    cdi_devices=None,
    data_root="/var/lib/containers/storage",
)


def hosts() -> dict[str, tuple[str, HostFacts]]:
    """Return every recording by name: what it is, and its facts."""
    groups = (
        _servers,
        _small,
        _engines,
        _cdi,
        _divided,
        _toolkits,
        _jetson,
        _wrong_modules,
        _without_driver,
        _sick,
    )
    return {name: told for group in groups for name, told in group().items()}


def _servers() -> dict[str, tuple[str, HostFacts]]:
    manager = FabricManager(installed=True, version="580.95.05", active=True)
    older = FabricManager(installed=True, version="570.133.20", active=False)
    return {
        "dgx-h100": (
            "A DGX H100: eight GPUs behind NVSwitches, all sound.",
            host("dgx01", R580, H100, "2330", nvswitch=True, fabric_manager=manager),
        ),
        "hgx-b200-fabric-version": (
            "An HGX B200 whose Fabric Manager is of another version than the driver.",
            host(
                "hgx02",
                driver("570.172.08", "12.8"),
                B200,
                "2901",
                nvswitch=True,
                fabric_manager=older,
            ),
        ),
        "l40s": ("Two L40S.", host("l40s", R580, L40S, "26b9")),
        "v100": (
            "Two V100 with the last proprietary driver that drives them.",
            host("v100", driver("580.95.05", "13.0", "proprietary"), V100, "1db5"),
        ),
    }


def _small() -> dict[str, tuple[str, HostFacts]]:
    arm = replace(MACHINE, arch="aarch64", os_version="24.04", memory_total=120 * GIB)
    arm = replace(arm, memory_available=110 * GIB, cpus=20)
    return {
        "t4": (
            "A T4 on an old driver and Docker 20.10.",
            host(
                "t4",
                driver("535.104.05", "12.2", "proprietary"),
                T4,
                "1eb8",
                engine=replace(
                    ENGINE,
                    version="20.10.24",
                    api_version="1.41",
                    cdi=False,
                    cdi_dirs=(),
                    cdi_devices=None,
                ),
            ),
        ),
        "gb10": (
            "A DGX Spark: GB10, which shares the machine's memory.",
            host("spark", R580, GB10, "2e12", machine=arm),
        ),
        "rtx-4090-r550": (
            "A GeForce RTX 4090 with branch 550.",
            host("desk1", R550, RTX_4090, "2684"),
        ),
        "rtx-4090-r570": (
            "A GeForce RTX 4090 with branch 570.",
            host("desk2", driver("570.172.08", "12.8"), RTX_4090, "2684"),
        ),
    }


def _engines() -> dict[str, tuple[str, HostFacts]]:
    rhel = replace(MACHINE, os_id="rhel", os_version="9.4", selinux="enforcing")
    rhel = replace(rhel, apparmor=False, kernel="5.14.0-427.el9.x86_64")
    return {
        "rootless": (
            "Docker without root, whose toolkit was not told so.",
            host(
                "rootless",
                R580,
                L40S,
                "26b9",
                engine=replace(
                    ENGINE,
                    rootless=True,
                    cgroup_driver="systemd",
                    data_root="/home/user/.local/share/docker",
                ),
            ),
        ),
        "podman-cdi": (
            "Podman with a CDI specification, on a host with SELinux.",
            host(
                "podman",
                R580,
                L40S,
                "26b9",
                engine=PODMAN,
                machine=rhel,
                cdi_specs=(SPEC,),
                toolkit=replace(
                    TOOLKIT, runtime_configured=False, changed_after_engine=None
                ),
            ),
        ),
    }


def _cdi() -> dict[str, tuple[str, HostFacts]]:
    stale = replace(
        SPEC,
        path="/var/run/cdi/nvidia.yaml",
        driver_versions=("550.54.15",),
        missing=("/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15",),
    )
    return {
        "cdi-stale": (
            "A CDI specification that names the libraries of the driver before.",
            host(
                "stale",
                R580,
                L40S,
                "26b9",
                cdi_specs=(stale,),
                engine=replace(ENGINE, cdi_devices=("nvidia.com/gpu=all",)),
            ),
        ),
    }


def _divided() -> dict[str, tuple[str, HostFacts]]:
    parts = tuple(
        MigInstance(
            f"MIG-{n}a2b3c4d-0000-5000-8000-00000000000{n}", "1g.10gb", 9728 * MIB
        )
        for n in range(2)
    )
    divided = replace(A100[0], mig=True, mig_instances=parts)
    empty = replace(A100[0], mig=True, mig_instances=())
    return {
        "mig-divided": (
            "An A100 in two MIG instances.",
            host("mig1", R580, (divided,), "20b2"),
        ),
        "mig-empty": (
            "An A100 in MIG mode without an instance.",
            host("mig2", R580, (empty,), "20b2"),
        ),
    }


def _toolkits() -> dict[str, tuple[str, HostFacts]]:
    return {
        "toolkit-unconfigured": (
            "The toolkit is installed; Docker was never told.",
            host(
                "fresh",
                R580,
                L40S,
                "26b9",
                engine=replace(ENGINE, runtimes=("io.containerd.runc.v2", "runc")),
                toolkit=replace(TOOLKIT, runtime_configured=False, version="1.17.4"),
            ),
        ),
        "toolkit-not-restarted": (
            "Docker was told of the toolkit and not restarted.",
            host(
                "waiting",
                R580,
                L40S,
                "26b9",
                engine=replace(ENGINE, runtimes=("io.containerd.runc.v2", "runc")),
                toolkit=replace(TOOLKIT, changed_after_engine=True),
            ),
        ),
    }


def _jetson() -> dict[str, tuple[str, HostFacts]]:
    jetson = Gpu(0, "NVIDIA Jetson AGX Orin Developer Kit", unified_memory=True)
    tegra = replace(MACHINE, arch="aarch64", kernel="5.15.148-tegra", cpus=12)
    tegra = replace(tegra, memory_total=62 * GIB, memory_available=55 * GIB)
    return {
        "jetson-orin": (
            "A Jetson AGX Orin: the GPU is part of the chip, without NVML.",
            host(
                "orin",
                Driver(nouveau=False, persistenced=False),
                (jetson,),
                "",
                machine=tegra,
                toolkit=replace(TOOLKIT, mode="csv"),
            ),
        ),
    }


def _wrong_modules() -> dict[str, tuple[str, HostFacts]]:
    wants_open = (
        "NVRM: The NVIDIA GPU 0000:1b:00.0 (PCI ID: 10de:2901)",
        "NVRM: installed in this system requires use of the NVIDIA open kernel "
        "modules.",
    )
    bus = tuple(PciGpu(gpu.bus_id, "10de:2901", "") for gpu in B200)
    r535 = driver("535.104.05", "12.2", "proprietary")
    return {
        "b200-proprietary": (
            "B200 GPUs with the proprietary kernel modules, which cannot drive them.",
            host(
                "hgx03",
                broken(driver("570.172.08", "12.8", "proprietary"), "no-devices"),
                (),
                "",
                pci_gpus=bus,
                nvswitch=True,
                fabric_manager=FabricManager(True, "570.172.08", False),
                kernel_log=KernelLog((), wants_open[1:]),
            ),
        ),
        "driver-mismatch": (
            "The driver's libraries were upgraded, the old module is still loaded.",
            host(
                "upgraded",
                broken(
                    r535,
                    "version-mismatch",
                    user_space="535.129.03",
                    on_disk="535.129.03",
                ),
                tuple(Gpu(gpu.index, gpu.name, gpu.uuid, gpu.bus_id) for gpu in L40S),
                "26b9",
            ),
        ),
    }


def _without_driver() -> dict[str, tuple[str, HostFacts]]:
    none = Driver(nouveau=True, persistenced=False, fault=Fault("not-installed"))
    nouveau = (PciGpu("0000:1b:00.0", "10de:2684", "nouveau"),)
    return {
        "no-driver": (
            "A GPU on the bus, nouveau on the GPU, and no driver of NVIDIA's.",
            host("bare", none, (), "", pci_gpus=nouveau),
        ),
        "driver-not-loaded": (
            "A kernel update without the module: nothing is loaded.",
            host(
                "dkms",
                broken(replace(R580, loaded=None, persistenced=False), "not-loaded"),
                (),
                "",
                pci_gpus=(PciGpu("0000:1b:00.0", "10de:26b9", ""),),
            ),
        ),
    }


def _sick() -> dict[str, tuple[str, HostFacts]]:
    lost = Gpu(1, fault=Fault("gpu-lost", "GPU is lost"))
    xid = Xid(
        79,
        "0000:3b:00.0",
        "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has "
        "fallen off the bus.",
    )
    return {
        "gpu-lost": (
            "Two L40S, of which the second fell off the bus.",
            host(
                "lost",
                R580,
                (L40S[0], lost),
                "26b9",
                kernel_log=KernelLog((xid,)),
            ),
        ),
        "smi-hangs": (
            "A sick GPU: whatever asks the driver waits for ever.",
            host(
                "sick",
                broken(R580, "probe-timeout"),
                tuple(Gpu(gpu.index, gpu.name, gpu.uuid, gpu.bus_id) for gpu in L40S),
                "26b9",
            ),
        ),
    }
