"""Make `recordings/`: hosts composed from what vendors document, as file trees.

Run it to write them anew: python tests/preflight/compose_recordings.py
None was taken on hardware; each README says so. A host taken with `survey` on a
real machine is worth more than any of these.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from hosttree import MIB, write_tree
from sealift_manifests.preflight.facts import (
    CdiSpec,
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
    MigInstance,
    PciGpu,
    Toolkit,
    Xid,
)
from sealift_manifests.preflight.survey import dump_survey

RECORDINGS = Path(__file__).with_name("recordings")
BASE = RECORDINGS / "base"
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
TOOLKIT = Toolkit(
    installed=True,
    version="1.19.1",
    container_cli="1.19.1",
    runtime_configured=True,
    runtime_hook=True,
    cdi_hook=True,
    changed_after_engine=False,
    mode="auto",
    no_cgroups=False,
    cuda_compat_mode="",
    compat_hook_disabled=False,
    char_links=True,
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


def hosts() -> dict[str, tuple[str, HostFacts]]:
    """Return every recording by name: what it is, and its facts."""
    return {**_servers(), **_others(), **_broken()}


def _servers() -> dict[str, tuple[str, HostFacts]]:
    manager = FabricManager(installed=True, version="580.95.05", active=True)
    older = FabricManager(installed=True, version="570.133.20", active=False)
    arm = replace(MACHINE, arch="aarch64", os_version="24.04", memory_total=120 * GIB)
    arm = replace(arm, memory_available=110 * GIB, cpus=20)
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
    }


def _others() -> dict[str, tuple[str, HostFacts]]:
    rhel = replace(MACHINE, os_id="rhel", os_version="9.4", selinux="enforcing")
    rhel = replace(rhel, apparmor=False, kernel="5.14.0-427.el9.x86_64")
    spec = CdiSpec(
        path="/etc/cdi/nvidia.yaml",
        kind="nvidia.com/gpu",
        devices=("0", "1", "all"),
        driver_versions=("580.95.05",),
        missing=(),
    )
    stale = replace(
        spec,
        path="/var/run/cdi/nvidia.yaml",
        driver_versions=("550.54.15",),
        missing=("/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15",),
    )
    podman = replace(
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
    parts = tuple(
        MigInstance(
            f"MIG-{n}a2b3c4d-0000-5000-8000-00000000000{n}", "1g.10gb", 9728 * MIB
        )
        for n in range(2)
    )
    divided = replace(A100[0], mig=True, mig_instances=parts)
    empty = replace(A100[0], mig=True, mig_instances=())
    return {
        "rtx-4090-r550": (
            "A GeForce RTX 4090 with branch 550.",
            host("desk1", R550, RTX_4090, "2684"),
        ),
        "rtx-4090-r570": (
            "A GeForce RTX 4090 with branch 570.",
            host("desk2", driver("570.172.08", "12.8"), RTX_4090, "2684"),
        ),
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
                engine=podman,
                machine=rhel,
                cdi_specs=(spec,),
                toolkit=replace(
                    TOOLKIT, runtime_configured=False, changed_after_engine=None
                ),
            ),
        ),
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
        "mig-divided": (
            "An A100 in two MIG instances.",
            host("mig1", R580, (divided,), "20b2"),
        ),
        "mig-empty": (
            "An A100 in MIG mode without an instance.",
            host("mig2", R580, (empty,), "20b2"),
        ),
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


def _broken() -> dict[str, tuple[str, HostFacts]]:
    jetson = Gpu(0, "NVIDIA Jetson AGX Orin Developer Kit", unified_memory=True)
    tegra = replace(MACHINE, arch="aarch64", kernel="5.15.148-tegra", cpus=12)
    tegra = replace(tegra, memory_total=62 * GIB, memory_available=55 * GIB)
    none = Driver(nouveau=True, persistenced=False, fault=Fault("not-installed"))
    lost = Gpu(1, fault=Fault("gpu-lost", "GPU is lost"))
    xid = Xid(
        79,
        "0000:3b:00.0",
        "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has "
        "fallen off the bus.",
    )
    wants_open = (
        "NVRM: The NVIDIA GPU 0000:1b:00.0 (PCI ID: 10de:2901)",
        "NVRM: installed in this system requires use of the NVIDIA open kernel "
        "modules.",
    )
    bus = tuple(PciGpu(gpu.bus_id, "10de:2901", "") for gpu in B200)
    r535 = driver("535.104.05", "12.2", "proprietary")
    nouveau = (PciGpu("0000:1b:00.0", "10de:2684", "nouveau"),)
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


def write(folder: Path, text: str, facts: HostFacts) -> None:
    """Write one recording."""
    write_tree(folder, facts)
    if facts.machine.kernel.endswith("tegra"):
        etc = folder / "root/etc/nv_tegra_release"
        etc.write_text("# R36 (release), REVISION: 4.0, BOARD: generic\n")
        tree = folder / "root/proc/device-tree"
        tree.mkdir(parents=True)
        (tree / "model").write_bytes(facts.gpus[0].name.encode() + b"\0")
    for path in sorted(BASE.rglob("*")):
        same = folder / path.relative_to(BASE)
        if path.is_file() and same.is_file() and same.read_bytes() == path.read_bytes():
            same.unlink()
    (folder / "facts.json").write_bytes(dump_survey(facts))
    (folder / "README.md").write_text(
        f"{text}\n\nComposed from documented outputs, not recorded on hardware.\n"
    )


def main() -> None:
    """Write all recordings anew; what most of them share lies in `base`."""
    for place in RECORDINGS.glob("*/"):
        shutil.rmtree(place)
    write_tree(BASE, host("base", Driver(), (), ""))
    for path in ("root/etc/docker", "root/proc/sys/kernel/hostname", "bin/modinfo"):
        place = BASE / path
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    for name, (text, facts) in hosts().items():
        write(RECORDINGS / name, text, facts)


if __name__ == "__main__":
    main()
