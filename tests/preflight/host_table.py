"""Hosts that are not in order, and every finding that follows. One row, one case.

Each row: where the fact is from, what is so, the host, the bundle (None: host only)
and all findings. "slug" is of the slug's usual level, "slug:warn" of that one.
The note `cuda-native` of the bundle's image is left out.
"""

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
    compat,
    requiring,
)
from sealift_manifests.preflight.facts import (
    CdiSpec,
    Compose,
    Engine,
    FabricManager,
    Fault,
    FileSystem,
    HostFacts,
    KernelLog,
    ListeningPort,
    MigInstance,
    PciGpu,
    ProbeFault,
    Xid,
)
from sealift_manifests.preflight.needs import (
    DiskNeeds,
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
    systems = (
        FileSystem("/var/lib/docker", "engine", 1, free=docker * GIB),
        FileSystem(
            "/srv",
            "state",
            1 if same else 2,
            free=state * GIB,
            free_inodes=changes.pop("inodes", None),
        ),
    )
    return a_host(machine={"file_systems": systems}, **changes)


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

ROWS = (
    Row("all in order", "a host in good order", a_host(), GOOD, ""),
    Row("all in order", "no bundle", a_host(), None, ""),
    Row("all in order", "a bundle without GPUs", a_host(gpus=()), NO_GPU, ""),
    Row(
        "all in order",
        "no bundle and no GPU",
        a_host("", gpus=(), toolkit={"installed": False, "version": None}),
        None,
        "",
    ),
    # nvidia-smi failures
    Row(
        "nvidia-smi failures",
        "not installed",
        fault("not-installed"),
        GOOD,
        "driver-not-installed",
    ),
    Row(
        "nvidia-smi failures",
        "not loaded",
        fault("not-loaded"),
        GOOD,
        "driver-not-loaded",
    ),
    Row(
        "nvidia-smi failures",
        "not loaded, no bundle",
        fault("not-loaded"),
        None,
        "driver-not-loaded",
    ),
    Row(
        "nvidia-smi failures",
        "version mismatch",
        fault("version-mismatch"),
        GOOD,
        "driver-mismatch",
    ),
    Row("nvidia-smi failures", "no devices", fault("no-devices"), GOOD, "gpu-none"),
    Row(
        "nvidia-smi failures",
        "no permission",
        fault("no-permission"),
        GOOD,
        "driver-permission",
    ),
    Row("nvidia-smi failures", "lost", fault("gpu-lost"), GOOD, "gpu-lost"),
    Row("nvidia-smi failures", "hangs", fault("probe-timeout"), GOOD, "driver-timeout"),
    Row(
        "nvidia-smi failures",
        "no library",
        fault("library-missing"),
        GOOD,
        "driver-library-missing",
    ),
    Row(
        "nvidia-smi failures",
        "another error",
        fault("unknown-error"),
        GOOD,
        "driver-error",
    ),
    Row(
        "nvidia-smi failures",
        "matters to no bundle without GPUs",
        fault("not-loaded"),
        NO_GPU,
        "",
    ),
    Row(
        "nothing was asked",
        "no driver facts",
        a_host(driver=None, gpus=None),
        GOOD,
        "driver-unknown",
    ),
    Row("nothing was asked", "no GPU facts", a_host(gpus=None), GOOD, "gpu-unknown"),
    Row(
        "nothing was asked", "the driver lists none", a_host(gpus=()), GOOD, "gpu-none"
    ),
    Row(
        "without nvidia-smi",
        "module and libraries differ",
        a_host(driver={"user_space": "580.82.07"}),
        GOOD,
        "driver-mismatch",
    ),
    Row(
        "without nvidia-smi",
        "reboot pending",
        a_host(driver={"on_disk": "595.71.05"}),
        GOOD,
        "driver-reboot-pending",
    ),
    # driver branches
    Row(
        "driver branches", "570 ended", a_host("570.124.06"), GOOD, "driver-end-of-life"
    ),
    Row(
        "driver branches",
        "535 ended",
        a_host("535.104.05"),
        a_bundle(an_image("12.2")),
        "driver-end-of-life",
    ),
    Row("driver branches", "595 is maintained", a_host("595.71.05"), GOOD, ""),
    Row(
        "driver branches",
        "610 ended in August",
        a_host("610.43.02"),
        GOOD,
        "driver-end-of-life",
    ),
    Row(
        "driver branches",
        "595 in April 2027",
        a_host("595.71.05", taken="2027-04-01T00:00:00Z"),
        GOOD,
        "driver-end-of-life",
    ),
    Row(
        "driver branches",
        "595 in March 2027",
        a_host("595.71.05", taken="2027-03-31T00:00:00Z"),
        GOOD,
        "",
    ),
    Row(
        "driver branches",
        "a clock of 1970 ends nothing",
        a_host("595.71.05", taken="1970-01-01T00:00:00Z"),
        GOOD,
        "",
    ),
    Row(
        "driver branches",
        "not in the table",
        a_host("700.1", driver={"cuda": "15.0"}),
        GOOD,
        "driver-branch-unknown",
    ),
    # open modules
    Row(
        "open modules",
        "Blackwell with proprietary",
        a_host(gpu="B200", driver={"module": "proprietary"}),
        GOOD,
        "gpu-modules-wrong",
    ),
    Row(
        "open modules",
        "Volta with open",
        a_host(gpu="V100", driver={"module": "open"}),
        a_bundle(an_image("12.6")),
        "gpu-modules-wrong",
    ),
    Row(
        "open modules",
        "Ampere with either",
        a_host(gpu="A100", driver={"module": "proprietary"}),
        GOOD,
        "",
    ),
    Row(
        "open modules",
        "Grace Hopper with proprietary",
        a_host(
            gpus=(a_gpu("H100", name="NVIDIA GH200 480GB"),),
            driver={"module": "proprietary"},
        ),
        GOOD,
        "gpu-modules-wrong",
    ),
    Row(
        "open modules",
        "the kernel says so",
        a_host(
            driver={"fault": Fault("no-devices")},
            gpus=None,
            kernel_log=KernelLog((), (OPEN_MODULES,)),
        ),
        GOOD,
        "gpu-none gpu-modules-wrong",
    ),
    # GPU health
    Row(
        "GPU cells",
        "one GPU is lost",
        gpu_host(fault=Fault("gpu-lost", "GPU is lost")),
        GOOD,
        "gpu-lost",
    ),
    Row(
        "GPU cells",
        "one GPU requires a reset",
        gpu_host(fault=Fault("requires-reset")),
        GOOD,
        "gpu-reset-needed",
    ),
    Row(
        "recovery action",
        "Reboot",
        gpu_host(recovery_action="Reboot"),
        GOOD,
        "gpu-reset-needed",
    ),
    Row("recovery action", "None", gpu_host(recovery_action="None"), GOOD, ""),
    Row("ECC", "uncorrected errors", gpu_host(ecc_uncorrected=2), GOOD, "gpu-ecc"),
    Row("ECC", "no errors", gpu_host(ecc_uncorrected=0), GOOD, ""),
    Row(
        "row remap", "pending", gpu_host(row_remap_pending=True), GOOD, "gpu-row-remap"
    ),
    Row(
        "row remap",
        "failed",
        gpu_host(row_remap_failed=True),
        GOOD,
        "gpu-row-remap-failed",
    ),
    Row("Xid", "79 is the newest", xids(31, 79), GOOD, "gpu-xid-fatal"),
    Row("Xid", "95 is the newest", xids(95), GOOD, "gpu-xid-fatal"),
    Row("Xid", "79 before another", xids(79, 31), GOOD, "gpu-xid"),
    Row("Xid", "13 alone", xids(13), None, "gpu-xid"),
    Row(
        "Xid",
        "the log cannot be read",
        a_host(kernel_log=None),
        GOOD,
        "gpu-xid:unknown",
    ),
    Row("persistence", "off", gpu_host(persistence=False), GOOD, "gpu-persistence"),
    Row(
        "persistence",
        "off, but the daemon runs",
        a_host(gpus=(a_gpu("L40S", persistence=False),), driver={"persistenced": True}),
        GOOD,
        "",
    ),
    Row(
        "compute mode",
        "prohibited",
        gpu_host(compute_mode="Prohibited"),
        GOOD,
        "gpu-compute-mode",
    ),
    Row(
        "compute mode",
        "exclusive",
        gpu_host(compute_mode="Exclusive_Process"),
        GOOD,
        "gpu-compute-mode:warn",
    ),
    Row(
        "MIG",
        "on, without instances",
        gpu_host("H100", mig=True, mig_instances=()),
        GOOD,
        "mig-empty",
    ),
    Row(
        "MIG",
        "on, with instances",
        gpu_host("H100", mig=True, mig_instances=(MigInstance("MIG-1"),)),
        GOOD,
        "",
    ),
    Row(
        "GPUs on the bus",
        "one with vfio",
        a_host(
            pci_gpus=(
                PciGpu("0000:01:00.0", driver="nvidia"),
                PciGpu("0000:02:00.0", driver="vfio-pci"),
            )
        ),
        GOOD,
        "gpu-unbound",
    ),
    Row(
        "GPUs on the bus",
        "one with nouveau",
        a_host(pci_gpus=(PciGpu("0000:02:00.0", driver="nouveau"),)),
        None,
        "gpu-unbound",
    ),
    Row(
        "compute capability",
        "by the name, if not told",
        gpu_host("H100", compute_capability=None),
        GOOD,
        "",
    ),
    Row(
        "compute capability",
        "of a name nobody knows",
        gpu_host(name="NVIDIA X1", compute_capability=None),
        GOOD,
        "gpu-unknown code-unknown",
    ),
    # NVSwitch
    Row("Fabric Manager", "in order", fabric(GOOD_FM), GOOD, ""),
    Row(
        "Fabric Manager",
        "missing",
        fabric(FabricManager(False)),
        GOOD,
        "fabric-manager-missing",
    ),
    Row(
        "Fabric Manager",
        "off",
        fabric(replace(GOOD_FM, active=False)),
        GOOD,
        "fabric-manager-off",
    ),
    Row(
        "Fabric Manager",
        "of another version",
        fabric(replace(GOOD_FM, version="580.82.07")),
        GOOD,
        "fabric-manager-version",
    ),
    Row("Fabric Manager", "not asked", fabric(None), GOOD, "fabric-unknown"),
    Row(
        "Fabric Manager",
        "fabric in progress",
        fabric(GOOD_FM, gpus=(a_gpu("H100", fabric_state="In Progress"),)),
        GOOD,
        "fabric-not-ready",
    ),
    Row(
        "Fabric Manager",
        "fabric failed",
        fabric(
            GOOD_FM,
            gpus=(a_gpu("H100", fabric_state="Completed", fabric_status="Failure"),),
        ),
        None,
        "fabric-not-ready",
    ),
    Row(
        "Fabric Manager",
        "fabric ready",
        fabric(
            GOOD_FM,
            gpus=(a_gpu("H100", fabric_state="Completed", fabric_status="Success"),),
        ),
        GOOD,
        "",
    ),
    Row(
        "Fabric Manager",
        "no NVSwitch, none needed",
        a_host(gpu="H100", fabric_manager=FabricManager(False)),
        GOOD,
        "",
    ),
    Row(
        "Fabric Manager",
        "NVSwitch not looked for",
        a_host(gpu="H200", nvswitch=None),
        GOOD,
        "fabric-unknown",
    ),
    Row(
        "Fabric Manager",
        "PCIe boards have none",
        a_host(nvswitch=None, gpus=(a_gpu("H100", name="NVIDIA H100 PCIe"),)),
        GOOD,
        "",
    ),
    # paths of a GPU into a container
    Row(
        "paths, --gpus",
        "no toolkit",
        toolkit(installed=False, version=None),
        GOOD,
        "toolkit-missing",
    ),
    Row(
        "paths, --gpus",
        "no hook on the PATH",
        toolkit(runtime_hook=False, cdi_hook=False),
        GOOD,
        "toolkit-missing",
    ),
    Row(
        "paths, --gpus",
        "needs no entry in daemon.json",
        a_host(engine={"runtimes": ("runc",)}, toolkit={"runtime_configured": False}),
        GOOD,
        "",
    ),
    Row(
        "paths, --gpus", "nothing known", a_host(toolkit=None), GOOD, "toolkit-unknown"
    ),
    Row(
        "paths, --runtime",
        "not configured",
        a_host(engine={"runtimes": ("runc",)}, toolkit={"runtime_configured": False}),
        RUNTIME,
        "toolkit-not-configured",
    ),
    Row(
        "paths, --runtime",
        "not restarted",
        a_host(engine={"runtimes": ("runc",)}),
        RUNTIME,
        "toolkit-not-restarted",
    ),
    Row("paths, --runtime", "in order", a_host(), RUNTIME, ""),
    Row(
        "paths, --runtime",
        "no toolkit",
        toolkit(installed=False, version=None),
        RUNTIME,
        "toolkit-missing",
    ),
    Row(
        "paths, --runtime",
        "runtimes not known",
        a_host(engine={"runtimes": None}),
        RUNTIME,
        "toolkit-unknown",
    ),
    Row(
        "paths, --runtime",
        "no GPU named",
        a_host(),
        a_bundle(
            an_image(visible_devices="", requires=requiring("cuda>=12.8")["requires"]),
            a_service(gpu=GpuRequest("runtime")),
        ),
        "gpu-not-visible",
    ),
    Row(
        "paths, --runtime",
        "an image of the old kind sees all",
        a_host(),
        a_bundle(an_image(visible_devices=""), a_service(gpu=GpuRequest("runtime"))),
        "",
    ),
    Row(
        "restarted?",
        "toolkit newer than the engine",
        toolkit(changed_after_engine=True),
        GOOD,
        "toolkit-changed",
    ),
    Row("hook called directly", "mode cdi", toolkit(mode="cdi"), GOOD, "toolkit-mode"),
    Row("hook called directly", "mode legacy", toolkit(mode="legacy"), GOOD, ""),
    Row(
        "hook called directly",
        "mode cdi with the runtime",
        a_host(toolkit={"mode": "cdi"}, cdi_specs=FRESH),
        RUNTIME,
        "",
    ),
    Row(
        "cgroup v2",
        "libnvidia-container 1.7",
        toolkit(container_cli="1.7.0"),
        GOOD,
        "toolkit-cgroup2",
    ),
    Row(
        "cgroup v2",
        "1.7 with cgroup v1",
        a_host(engine={"cgroup_version": 1}, toolkit={"container_cli": "1.7.0"}),
        GOOD,
        "",
    ),
    Row(
        "hook called directly",
        "mode cdi where Docker takes CDI itself",
        a_host(engine={"version": "29.7.2"}, toolkit={"mode": "cdi"}, cdi_specs=FRESH),
        GOOD,
        "",
    ),
    # CVEs
    Row(CVE, "1.19.1 has none", toolkit(version="1.19.1"), GOOD, ""),
    Row(CVE, "1.19.0", toolkit(version="1.19.0"), GOOD, "toolkit-cve"),
    Row(CVE, "1.16.1", toolkit(version="1.16.1"), GOOD, "toolkit-cve"),
    Row(CVE, "no bundle", toolkit(version="1.17.7"), None, "toolkit-cve"),
    # CDI
    Row("CDI", "in order", a_host(cdi_specs=FRESH), CDI, ""),
    Row(
        "CDI",
        "Docker 24",
        a_host(engine={"version": "24.0.9"}, cdi_specs=FRESH),
        CDI,
        "cdi-off",
    ),
    Row(
        "CDI",
        "Docker 26, not switched on",
        a_host(engine={"version": "26.1.5", "cdi": False}, cdi_specs=FRESH),
        CDI,
        "cdi-off",
    ),
    Row(
        "CDI",
        "Docker 26, not known",
        a_host(engine={"version": "26.1.5", "cdi": None}, cdi_specs=FRESH),
        CDI,
        "cdi-unknown",
    ),
    Row(
        "CDI",
        "Docker 28.2, on by itself",
        a_host(engine={"version": "28.2.0", "cdi": None}, cdi_specs=FRESH),
        CDI,
        "",
    ),
    Row("CDI", "no specification", a_host(), CDI, "cdi-missing"),
    Row("CDI", "nothing known", a_host(cdi_specs=None), CDI, "cdi-unknown"),
    Row(
        "CDI",
        "no such device",
        a_host(count=2, cdi_specs=FRESH),
        form("devices", "nvidia.com/gpu=1"),
        "cdi-device-missing",
    ),
    Row(
        "CDI",
        "stale after an upgrade",
        a_host(cdi_specs=(stale("570.124.06"),)),
        CDI,
        "cdi-stale",
    ),
    Row(
        "CDI",
        "files are gone",
        a_host(cdi_specs=(stale("580.95.05", missing=("/dev/nvidia1",)),)),
        CDI,
        "cdi-stale",
    ),
    Row(
        "CDI",
        "stale, but not used",
        a_host(cdi_specs=(stale("570.124.06"),)),
        GOOD,
        "cdi-stale:warn",
    ),
    Row(
        "CDI",
        "of another vendor",
        a_host(cdi_specs=(*FRESH, stale("1.2", kind="amd.com/gpu", devices=("0",)))),
        CDI,
        "",
    ),
    Row(
        "CDI",
        "needs no toolkit at its start",
        a_host(cdi_specs=FRESH, toolkit={"installed": False, "version": None}),
        CDI,
        "",
    ),
    Row(
        "CDI",
        "--gpus of 29.2 takes CDI",
        a_host(engine={"version": "29.7.2"}, cdi_specs=(stale("570.124.06"),)),
        GOOD,
        "cdi-stale",
    ),
    # daemon-reload, snap, rootless
    Row(
        "daemon-reload",
        "systemd, legacy, no links",
        toolkit(char_links=False),
        GOOD,
        "toolkit-reload",
    ),
    Row(
        "daemon-reload",
        "cgroupfs",
        a_host(engine={"cgroup_driver": "cgroupfs"}, toolkit={"char_links": False}),
        GOOD,
        "",
    ),
    Row(
        "daemon-reload",
        "CDI",
        a_host(cdi_specs=FRESH, toolkit={"char_links": False}),
        CDI,
        "",
    ),
    Row("daemon-reload", "jit-cdi", toolkit(char_links=False), RUNTIME, ""),
    Row(
        "rootless",
        "cgroups not switched off",
        a_host(engine={"rootless": True}),
        GOOD,
        "engine-rootless-cgroups",
    ),
    Row(
        "rootless",
        "no-cgroups",
        a_host(engine={"rootless": True}, toolkit={"no_cgroups": True}),
        GOOD,
        "",
    ),
    Row(
        "error texts",
        "Docker from a snap",
        a_host(engine={"snap": True}),
        GOOD,
        "engine-snap",
    ),
    # Podman
    Row("Podman", "in order", podman(), CDI, ""),
    Row("Podman", "before 4.1", podman("4.0.3"), CDI, "podman-too-old"),
    Row("Podman", "--gpus does nothing there", podman(), GOOD, "podman-gpu-form"),
    Row(
        "Podman",
        "SELinux",
        podman(machine={"selinux": "enforcing"}),
        CDI,
        "podman-selinux",
    ),
    Row(
        "Podman",
        "never evaluates NVIDIA_REQUIRE",
        podman(),
        a_bundle(
            an_image(**requiring("cuda>=99")),
            a_service(gpu=GpuRequest("devices", ids=("nvidia.com/gpu=all",))),
        ),
        "require-unenforced",
    ),
    # who enforces NVIDIA_REQUIRE
    Row(
        "who enforces",
        "the hook",
        a_host(),
        a_bundle(an_image(**requiring("cuda>=99"))),
        "require-refused",
    ),
    Row(
        "who enforces",
        "the runtime before 1.18",
        toolkit(version="1.17.9"),
        a_bundle(
            an_image(**requiring("cuda>=99")), a_service(gpu=GpuRequest("runtime"))
        ),
        "require-refused toolkit-cve",
    ),
    Row(
        "who enforces",
        "not jit-cdi",
        a_host(),
        a_bundle(
            an_image(**requiring("cuda>=99")), a_service(gpu=GpuRequest("runtime"))
        ),
        "require-unenforced",
    ),
    Row(
        "who enforces",
        "the runtime of an unknown toolkit",
        toolkit(version=None),
        a_bundle(
            an_image(**requiring("cuda>=99")), a_service(gpu=GpuRequest("runtime"))
        ),
        "require-maybe-refused",
    ),
    Row(
        "who enforces",
        "switched off by the service",
        a_host(),
        a_bundle(an_image(**requiring("cuda>=99")), a_service(disable_require="true")),
        "",
    ),
    Row(
        "who enforces",
        "'yes' switches nothing off",
        a_host(),
        a_bundle(an_image(**requiring("cuda>=99")), a_service(disable_require="yes")),
        "require-refused",
    ),
    Row(
        "who enforces",
        "an unknown property",
        a_host(),
        a_bundle(an_image(**requiring("colour=red"))),
        "require-malformed",
    ),
    Row(
        "who enforces",
        "all variables must hold",
        a_host(),
        a_bundle(an_image(**requiring("cuda>=12.8", "driver>=600"))),
        "require-refused",
    ),
    Row(
        "who enforces",
        "the variables are not known",
        a_host(),
        a_bundle(an_image(requires=None, disable_require="")),
        "require-unknown",
    ),
    Row(
        "who enforces",
        "the brand is not known",
        gpu_host(brand=None),
        a_bundle(an_image(**requiring("brand=tesla"))),
        "require-unknown",
    ),
    # engine and Compose
    Row(
        "engine",
        "not installed",
        a_host(engine=Engine(fault=Fault("not-installed"))),
        NO_GPU,
        "engine-missing",
    ),
    Row(
        "engine",
        "does not run",
        a_host(engine=Engine(fault=Fault("not-running"))),
        NO_GPU,
        "engine-down",
    ),
    Row(
        "engine",
        "no permission",
        a_host(engine=Engine(fault=Fault("no-permission"))),
        NO_GPU,
        "engine-permission",
    ),
    Row("engine", "nothing known", a_host(engine=None), NO_GPU, "engine-unknown"),
    Row("engine", "Docker 19.03", docker("19.03.15"), GOOD, "engine-too-old"),
    Row("engine", "Docker 20.10 of Debian", docker("20.10.24+dfsg1"), GOOD, ""),
    Row("Compose", "missing", a_host(compose=Compose(False)), GOOD, "compose-missing"),
    Row(
        "Compose",
        "gpus: ignored before 2.30",
        a_host(compose=Compose(True, "2.26.1")),
        form("gpus"),
        "compose-too-old",
    ),
    Row(
        "Compose",
        "gpus: rejected by 1.29",
        a_host(engine={"version": "20.10.24"}, compose=Compose(True, "1.29.2")),
        form("gpus"),
        "compose-too-old",
    ),
    Row(
        "Compose",
        "gpus: from 2.30",
        a_host(compose=Compose(True, "2.30.0")),
        form("gpus"),
        "",
    ),
    Row(
        "Compose",
        "gpus: of an unknown Compose",
        a_host(compose=None),
        form("gpus"),
        "compose-unknown",
    ),
    Row(
        "Compose",
        "CDI fails with 2.26",
        a_host(compose=Compose(True, "2.26.1"), cdi_specs=FRESH),
        CDI,
        "compose-too-old",
    ),
    Row(
        "Compose",
        "CDI between 2.27 and 2.39",
        a_host(compose=Compose(True, "2.33.0"), cdi_specs=FRESH),
        CDI,
        "compose-unknown",
    ),
    Row(
        "Compose",
        "the portable form with 2.26",
        a_host(compose=Compose(True, "2.26.1")),
        GOOD,
        "",
    ),
    Row(
        "Compose",
        "1.29 on a new engine",
        a_host(compose=Compose(True, "1.29.2")),
        GOOD,
        "compose-v1",
    ),
    Row(
        "Compose",
        "1.29 on 20.10",
        a_host(engine={"version": "20.10.24"}, compose=Compose(True, "1.29.2")),
        GOOD,
        "",
    ),
    # the machine
    Row(
        "machine",
        "another architecture",
        a_host(machine={"arch": "aarch64"}),
        GOOD,
        "platform-wrong",
    ),
    Row(
        "machine",
        "Python 3.6",
        a_host(machine={"python": "3.6.8"}),
        GOOD,
        "python-too-old",
    ),
    Row(
        "machine",
        "clock before the bundle",
        a_host(machine={"clock": "2026-01-01T00:00:00Z"}),
        GOOD,
        "clock-behind",
    ),
    Row(
        "machine",
        "clock not kept",
        a_host(machine={"clock_synced": False}),
        GOOD,
        "clock-unsynced",
    ),
    Row(
        "machine",
        "a probe failed",
        a_host(faults=(ProbeFault("dmesg", "no-permission"),)),
        GOOD,
        "probe-failed",
    ),
    Row(
        "machine",
        "a note of a wrong type",
        a_host(),
        replace(GOOD, unread=("images.server.facts.gpu.cuda",)),
        "needs-unread",
    ),
    Row("ports", "free", ports(ListeningPort(9000)), PUBLISHING, ""),
    Row("ports", "taken", ports(ListeningPort(8000)), PUBLISHING, "port-taken"),
    Row(
        "ports",
        "taken on one address",
        ports(ListeningPort(8000, address="10.0.0.1")),
        PUBLISHING,
        "port-taken",
    ),
    Row(
        "ports",
        "taken on another address",
        ports(ListeningPort(8000, address="10.0.0.1")),
        ON_LOOPBACK,
        "",
    ),
    Row("ports", "taken by UDP", ports(ListeningPort(8000, "udp")), PUBLISHING, ""),
    Row(
        "ports",
        "taken by a container",
        ports(ListeningPort(8000, owner="docker-proxy")),
        PUBLISHING,
        "port-taken:warn",
    ),
    Row(
        "ports",
        "not known",
        a_host(machine={"ports": None}),
        PUBLISHING,
        "ports-unknown",
    ),
    Row(
        "ports",
        "of the service not known",
        a_host(),
        a_bundle(None, a_service(ports=None)),
        "ports-unknown",
    ),
    # room: 5 GiB archive and 9 GiB unpacked, 20 GiB of weights
    Row("docker load", "14 GiB are enough", room(14, 21), GOOD, ""),
    Row("docker load", "13 GiB are not", room(13, 21), GOOD, "disk-full"),
    Row("docker load", "weights", room(14, 19), GOOD, "disk-full"),
    Row(
        "docker load",
        "one file system for both",
        room(30, 30, same=True),
        GOOD,
        "disk-full",
    ),
    Row(
        "docker load",
        "one file system, large enough",
        room(35, 35, same=True),
        GOOD,
        "",
    ),
    Row("docker load", "inodes", room(14, 21, inodes=99), GOOD, "disk-inodes"),
    Row(
        "docker load",
        "nothing known",
        a_host(machine={"file_systems": None}),
        GOOD,
        "disk-unknown disk-unknown",
    ),
    Row(
        "docker load",
        "weights of unknown size",
        a_host(),
        replace(GOOD, disk=DiskNeeds()),
        "disk-unknown",
    ),
    Row("docker load", "one archive at a time", room(23, 21), TWO_IMAGES, ""),
    Row("docker load", "two images", room(22, 21), TWO_IMAGES, "disk-full"),
    Row(
        "docker load",
        "the containerd store keeps archives",
        room(27, 21, engine={"image_store": "containerd"}),
        TWO_IMAGES,
        "disk-full",
    ),
    Row(
        "docker load",
        "the containerd store has room",
        room(28, 21, engine={"image_store": "containerd"}),
        TWO_IMAGES,
        "",
    ),
    Row(
        "docker load",
        "one of the two stores would have room",
        room(27, 21, engine={"image_store": None}),
        TWO_IMAGES,
        "disk-unknown",
    ),
    # services ask for GPUs
    Row(
        "which GPUs",
        "a count takes the first ones",
        a_host(gpus=(a_gpu("L40S", 0), a_gpu("K80", 1))),
        a_bundle(None, a_service(gpu=GpuRequest("reservations", 1))),
        "gpu-driver-too-new gpu-modules-wrong",
    ),
    Row(
        "which GPUs",
        "all of them count",
        a_host(gpus=(a_gpu("L40S", 0), a_gpu("K80", 1))),
        a_bundle(),
        "gpu-driver-too-new gpu-modules-wrong image-gpu-dropped",
    ),
    Row(
        "which GPUs",
        "two of one",
        a_host(),
        a_bundle(None, a_service(gpu=GpuRequest("reservations", 2))),
        "gpu-too-few",
    ),
    Row(
        "which GPUs",
        "index 3 of two",
        a_host(count=2),
        form("reservations", "3"),
        "gpu-not-there",
    ),
    Row(
        "which GPUs",
        "by UUID",
        a_host(count=2),
        form("reservations", "GPU-00000001-0000-0000-0000-000000000000"),
        "",
    ),
    Row(
        "which GPUs",
        "a UUID of another host",
        a_host(),
        form("reservations", "GPU-ffffffff-0000-0000-0000-000000000000"),
        "gpu-not-there",
    ),
    Row(
        "which GPUs",
        "tensor parallel 2 of one",
        a_host(),
        a_bundle(None, a_service(tensor_parallel=2)),
        "gpu-too-few",
    ),
    Row(
        "servers",
        "Ollama on Kepler",
        a_host("470.82.01", "K80"),
        a_bundle(an_image("11.4"), a_service(server="ollama")),
        "server-gpu-too-old driver-end-of-life",
    ),
    Row(
        "servers",
        "Ollama on Pascal with 535",
        a_host("535.104.05", "P40"),
        a_bundle(an_image("12.2"), a_service(server="ollama")),
        "server-driver-too-old driver-end-of-life",
    ),
    Row(
        "servers",
        "Ollama on Ada with 535",
        a_host("535.104.05"),
        a_bundle(an_image("12.2"), a_service(server="ollama")),
        "driver-end-of-life",
    ),
    Row(
        "servers",
        "vLLM's own switch for compat",
        a_host("595.71.05"),
        a_bundle(
            an_image("13.0", compat=(compat("580.95.05"),)), a_service(compat_on=True)
        ),
        "compat-harmful",
    ),
    # memory; more in test_memory_fit
    Row(
        "memory fit",
        "8B on 48 GB",
        a_host(),
        a_bundle(
            None, a_service(models=("llama",), max_model_len=32768), model=LLAMA_8B
        ),
        "memory-fits",
    ),
    Row(
        "memory fit",
        "8B on an L4, 32k",
        a_host(gpu="L4"),
        a_bundle(
            None, a_service(models=("llama",), max_model_len=32768), model=LLAMA_8B
        ),
        "memory-too-small",
    ),
    Row(
        "memory fit",
        "8B on a 4090 with more to use, 32k",
        a_host(gpu="4090"),
        a_bundle(
            None, a_service(models=("llama",), max_model_len=32768), model=LLAMA_8B
        ),
        "memory-tight",
    ),
    Row(
        "memory fit",
        "8B on 24 GB, 4k",
        a_host(gpu="4090"),
        a_bundle(
            None, a_service(models=("llama",), max_model_len=4096), model=LLAMA_8B
        ),
        "memory-fits",
    ),
    Row(
        "memory fit",
        "something uses the GPU",
        a_host(gpus=(a_gpu("L40S", memory_free=40 * GIB),)),
        GOOD,
        "memory-busy",
    ),
    Row(
        "memory fit",
        "two servers on one GPU",
        a_host(),
        a_bundle(None, a_service(), a_service(name="other")),
        "memory-oversubscribed",
    ),
    Row(
        "memory fit",
        "two servers share one GPU",
        a_host(),
        a_bundle(
            None,
            a_service(memory_thousandths=500),
            a_service(name="other", memory_thousandths=450),
        ),
        "",
    ),
    Row(
        "memory fit",
        "heads and tensor parallel",
        a_host(count=3),
        a_bundle(
            None,
            a_service(models=("llama",), tensor_parallel=3, max_model_len=4096),
            model=LLAMA_8B,
        ),
        "heads-not-divisible memory-fits",
    ),
    Row(
        "memory fit",
        "llama.cpp spills",
        a_host(gpu="2080Ti"),
        a_bundle(
            None,
            a_service(models=("llama",), server="llama.cpp", max_model_len=4096),
            model=LLAMA_8B,
        ),
        "memory-spills",
    ),
    Row(
        "memory fit",
        "another server",
        a_host(),
        a_bundle(None, a_service(models=("llama",), server="other"), model=LLAMA_8B),
        "memory-unknown",
    ),
    Row(
        "memory fit",
        "unified memory",
        a_host(gpu="GB10"),
        a_bundle(
            None, a_service(models=("llama",), max_model_len=32768), model=LLAMA_8B
        ),
        "memory-fits",
    ),
)
