"""What was measured on a host. Values only: nothing here reads a host or judges it.

None always means: not known, because nothing could be asked or the answer could not
be read. Empty tuples, empty text, False and 0 are answers. Sizes are in bytes,
versions are text as the host spells them, times are UTC as 2026-11-23T10:00:00Z.
Text must be clean Unicode (decode with errors="replace").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

DRIVER_FAULTS = (
    "not-installed",
    "not-loaded",
    "version-mismatch",
    "no-devices",
    "no-permission",
    "gpu-lost",
    "probe-timeout",
    "library-missing",
    "unknown-error",
)
"""Why the driver could not be asked: the slugs of `Driver.fault`.

`library-missing`: the kernel module is there, libnvidia-ml.so.1 is not.
"""

MODULE_KINDS = ("open", "proprietary")
ENGINE_KINDS = ("docker", "podman")
IMAGE_STORES = ("graphdriver", "containerd")


@dataclass(frozen=True)
class Fault:
    """Why something could not be read: a slug for rules, a text for people."""

    slug: str
    text: str = ""


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver.

    `loaded`: version of the kernel module in use (/proc/driver/nvidia/version);
    `on_disk`: of the one the next boot loads (modinfo); `user_space`: of
    libnvidia-ml or libcuda. `module`: "open" or "proprietary". `cuda`: the CUDA
    version NVML reports, "12.4". `nouveau`: whether that module is loaded instead.
    `persistenced`: whether nvidia-persistenced runs. With `fault`
    "not-installed" all versions are None.
    """

    loaded: Optional[str] = None
    on_disk: Optional[str] = None
    user_space: Optional[str] = None
    module: Optional[str] = None
    cuda: Optional[str] = None
    nouveau: Optional[bool] = None
    persistenced: Optional[bool] = None
    fault: Optional[Fault] = None


@dataclass(frozen=True)
class MigInstance:
    """A part of a GPU in MIG mode: its UUID, profile ("1g.10gb") and memory."""

    uuid: Optional[str] = None
    profile: Optional[str] = None
    memory_total: Optional[int] = None


@dataclass(frozen=True)
class Gpu:
    """A GPU the driver sees.

    `brand`: as nvidia-smi -q prints "Product Brand" ("NVIDIA RTX", "GeForce") or
    as NVML names it. `mig`: whether MIG mode is on; `mig_instances`: its parts.
    `ecc_uncorrected`: volatile uncorrected errors. `compute_mode` ("Default"),
    `recovery_action` ("None", "Reset", ...), `fabric_state` ("Completed") and
    `fabric_status` ("Success"): as printed; None also where printed as N/A.
    `unified_memory`: the GPU shares the machine's memory, so `memory_*` is None.
    `fault`: why this GPU alone did not answer ("gpu-lost", "requires-reset").
    """

    index: int
    name: Optional[str] = None
    uuid: Optional[str] = None
    bus_id: Optional[str] = None
    compute_capability: Optional[str] = None
    brand: Optional[str] = None
    memory_total: Optional[int] = None
    memory_free: Optional[int] = None
    mig: Optional[bool] = None
    mig_instances: Optional[Tuple[MigInstance, ...]] = None
    ecc: Optional[bool] = None
    ecc_uncorrected: Optional[int] = None
    row_remap_pending: Optional[bool] = None
    row_remap_failed: Optional[bool] = None
    persistence: Optional[bool] = None
    compute_mode: Optional[str] = None
    recovery_action: Optional[str] = None
    fabric_state: Optional[str] = None
    fabric_status: Optional[str] = None
    unified_memory: Optional[bool] = None
    fault: Optional[Fault] = None


@dataclass(frozen=True)
class PciGpu:
    """An NVIDIA GPU on the PCI bus, whether a driver has it or not.

    `device`: vendor and device as "10de:2330". `driver`: the kernel driver bound
    to it ("nvidia", "nouveau", "vfio-pci"), "" where none is.
    """

    bus_id: str
    device: Optional[str] = None
    driver: Optional[str] = None


@dataclass(frozen=True)
class FabricManager:
    """nvidia-fabricmanager, which NVSwitch machines need."""

    installed: Optional[bool] = None
    version: Optional[str] = None
    active: Optional[bool] = None


@dataclass(frozen=True)
class Xid:
    """An Xid message of the kernel log: its number, the GPU's bus id, the line."""

    number: int
    bus_id: Optional[str] = None
    text: str = ""


@dataclass(frozen=True)
class KernelLog:
    """What the kernel log of this boot says about NVIDIA GPUs, oldest first.

    `xids` None: the log could not be read. `nvrm`: other NVRM lines of interest.
    """

    xids: Optional[Tuple[Xid, ...]] = None
    nvrm: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """The container engine.

    `kind`: "docker" or "podman". `image_store`: "graphdriver" or "containerd".
    `cgroup_version`: 1 or 2. `runtimes`: names of configured runtimes. `cdi`:
    whether CDI is on; `cdi_devices`: what the engine itself discovered. `started`:
    when the daemon was started. `snap`: it runs from a snap package. `fault`: it
    did not answer ("not-installed", "not-running", "no-permission").
    """

    kind: Optional[str] = None
    version: Optional[str] = None
    api_version: Optional[str] = None
    image_store: Optional[str] = None
    storage_driver: Optional[str] = None
    cgroup_driver: Optional[str] = None
    cgroup_version: Optional[int] = None
    runtimes: Optional[Tuple[str, ...]] = None
    default_runtime: Optional[str] = None
    cdi: Optional[bool] = None
    cdi_dirs: Optional[Tuple[str, ...]] = None
    cdi_devices: Optional[Tuple[str, ...]] = None
    rootless: Optional[bool] = None
    snap: Optional[bool] = None
    data_root: Optional[str] = None
    started: Optional[str] = None
    fault: Optional[Fault] = None


@dataclass(frozen=True)
class Toolkit:
    """The NVIDIA container toolkit.

    `installed`: whether any of its programs is there. `version`: of nvidia-ctk;
    `container_cli`: of nvidia-container-cli (libnvidia-container).
    `runtime_configured`: daemon.json names the runtime "nvidia". `runtime_hook`,
    `cdi_hook`: nvidia-container-runtime-hook, nvidia-cdi-hook are on the engine's
    PATH. `changed_after_engine`: one of these, or daemon.json, is newer (ctime)
    than the start of the engine. From config.toml: `mode`, `no_cgroups`,
    `cuda_compat_mode`, `compat_hook_disabled` (features.disable-cuda-compat-lib-hook).
    `char_links`: /dev/char has links to the NVIDIA device nodes.
    """

    installed: Optional[bool] = None
    version: Optional[str] = None
    container_cli: Optional[str] = None
    runtime_configured: Optional[bool] = None
    runtime_hook: Optional[bool] = None
    cdi_hook: Optional[bool] = None
    changed_after_engine: Optional[bool] = None
    mode: Optional[str] = None
    no_cgroups: Optional[bool] = None
    cuda_compat_mode: Optional[str] = None
    compat_hook_disabled: Optional[bool] = None
    char_links: Optional[bool] = None
    fault: Optional[Fault] = None


@dataclass(frozen=True)
class CdiSpec:
    """A CDI specification file.

    `kind` is "nvidia.com/gpu"; `devices` the names below it ("0", "all", a UUID).
    `driver_versions`: those in the names of the libraries it mounts
    (libcuda.so.550.54.15). `missing`: host paths it names that do not exist.
    """

    path: str
    kind: Optional[str] = None
    devices: Optional[Tuple[str, ...]] = None
    driver_versions: Optional[Tuple[str, ...]] = None
    missing: Optional[Tuple[str, ...]] = None
    fault: Optional[Fault] = None


@dataclass(frozen=True)
class Compose:
    """Compose: whether it is there and its version ("2.40.3", "1.29.2")."""

    installed: Optional[bool] = None
    version: Optional[str] = None


@dataclass(frozen=True)
class FileSystem:
    """The file system that `path` lies on.

    `purpose` says why it was looked at: "engine" (the engine's data), "state"
    (Sealift's state directory), "bundle", "temporary" or "". `device`: st_dev, equal
    for two paths on one file system. `free`, `free_inodes`: for unprivileged use
    (f_bavail, f_favail); `free_inodes` None where there is no limit.
    """

    path: str
    purpose: str = ""
    device: Optional[int] = None
    type: Optional[str] = None
    size: Optional[int] = None
    free: Optional[int] = None
    free_inodes: Optional[int] = None


@dataclass(frozen=True)
class ListeningPort:
    """A port something listens on. `address` is "0.0.0.0" or "::" for all."""

    port: int
    protocol: str = "tcp"
    address: str = "0.0.0.0"
    owner: Optional[str] = None


@dataclass(frozen=True)
class Machine:
    """The machine and its system.

    `os_id`, `os_version`: ID and VERSION_ID of os-release; `arch` as uname says it.
    `selinux`: "enforcing", "permissive" or "disabled"; `apparmor`, `systemd`,
    `secure_boot`: on or off. `clock`: what the machine takes for now.
    """

    os_id: Optional[str] = None
    os_version: Optional[str] = None
    kernel: Optional[str] = None
    glibc: Optional[str] = None
    python: Optional[str] = None
    arch: Optional[str] = None
    cpus: Optional[int] = None
    memory_total: Optional[int] = None
    memory_available: Optional[int] = None
    file_systems: Optional[Tuple[FileSystem, ...]] = None
    ports: Optional[Tuple[ListeningPort, ...]] = None
    selinux: Optional[str] = None
    apparmor: Optional[bool] = None
    clock: Optional[str] = None
    clock_synced: Optional[bool] = None
    systemd: Optional[bool] = None
    secure_boot: Optional[bool] = None


@dataclass(frozen=True)
class ProbeFault:
    """A probe that did not work: which, why, and what it said."""

    probe: str
    slug: str
    text: str = ""


@dataclass(frozen=True)
class HostFacts:
    """Everything measured on one host at one time; a part that is None was not read.

    `taken` is UTC by the host's own clock. `gpus` are those the driver lists,
    `pci_gpus` those on the bus. `nvswitch`: NVSwitch devices are there.
    `toolkit` and `compose` that are absent say so with `installed=False`.
    """

    taken: str
    name: Optional[str] = None
    driver: Optional[Driver] = None
    gpus: Optional[Tuple[Gpu, ...]] = None
    pci_gpus: Optional[Tuple[PciGpu, ...]] = None
    nvswitch: Optional[bool] = None
    fabric_manager: Optional[FabricManager] = None
    kernel_log: Optional[KernelLog] = None
    engine: Optional[Engine] = None
    toolkit: Optional[Toolkit] = None
    cdi_specs: Optional[Tuple[CdiSpec, ...]] = None
    compose: Optional[Compose] = None
    machine: Optional[Machine] = None
    faults: Tuple[ProbeFault, ...] = ()
