"""Write a host, given as facts, the way its kernel, tools and engine would say it.

The texts follow what NVIDIA, Docker and the kernel document; the probe has to find
the facts in them again. Nothing here shares code with the probe.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from driver_answers import nvml_answers, smi_answers
from sealift_manifests.preflight.facts import HostFacts


def write_tree(folder: Path, facts: HostFacts) -> None:
    """Write the files, programs, NVML answers and engine answers of a host."""
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    programs: dict[str, list[tuple[str, str, int]]] = {}
    _system(facts, files, programs)
    _kernel(facts, files, links, programs)
    _driver(facts, files, links, programs)
    _toolkit(facts, files, programs)
    _docker(facts, files)
    _cdi(facts, files)
    _fabric(facts, files, programs)
    for path, text in files.items():
        place = folder / "root" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    for path, target in links.items():
        place = folder / "root" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    for name, answers in programs.items():
        _program(folder / "bin" / name, answers)
    nvml = nvml_answers(facts)
    if nvml:
        (folder / "nvml.txt").write_text(nvml)
    _engine(folder, facts)


def _program(path: Path, answers: list[tuple[str, str, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["#!/bin/sh", 'case "$*" in']
    for arguments, text, code in answers:
        if code < 0:  # It hangs, and so does a child that keeps its output open.
            lines.append(f"{arguments or '*'}) /bin/sleep 600 ;;")
            continue
        pattern = "*" if arguments == "*" else shlex.quote(arguments)
        lines.append(f"{pattern}) printf '%s\\n' {shlex.quote(text)}; exit {code} ;;")
    if path.name == "nvidia-smi":
        lines.append(
            "--query-gpu*) printf '%s\\n' 'Field is not a valid field to query.'; "
            "exit 2 ;;"
        )
    lines += ["*) exit 2 ;;", "esac"]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)


def _system(facts, files, programs) -> None:
    machine = facts.machine
    files["/etc/os-release"] = (
        f'NAME="Linux"\nID={machine.os_id}\nVERSION_ID="{machine.os_version}"\n'
    )
    files["/proc/sys/kernel/osrelease"] = f"{machine.kernel}\n"
    files["/proc/sys/kernel/hostname"] = f"{facts.name}\n"
    files["/sys/devices/system/cpu/online"] = f"0-{machine.cpus - 1}\n"
    files["/proc/meminfo"] = (
        f"MemTotal:       {machine.memory_total // 1024} kB\n"
        "MemFree:          123456 kB\n"
        f"MemAvailable:   {machine.memory_available // 1024} kB\n"
        "HugePages_Total:       0\n"
    )
    files["/proc/1/comm"] = "systemd\n"
    files["/run/systemd/system/.keep"] = ""
    files["/tmp/.keep"] = ""
    files["/sys/fs/.keep"] = ""
    files["/sys/firmware/efi/.keep"] = ""
    if machine.selinux != "disabled":
        files["/sys/fs/selinux/enforce"] = str(int(machine.selinux == "enforcing"))
    enabled = "Y" if machine.apparmor else "N"
    files["/sys/module/apparmor/parameters/enabled"] = f"{enabled}\n"
    boot = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    files[boot] = "\x06\0\0\0" + ("\x01" if machine.secure_boot else "\0")
    files["/proc/net/tcp"] = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt"
        "   uid  timeout inode\n"
        "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000"
        "     0        0 4711 1 0000000000000000 100 0 0 10 0\n"
        "   1: 0100007F:1F40 0100007F:C350 01 00000000:00000000 00:00000000 00000000"
        "     0        0 4712 1 0000000000000000 100 0 0 10 0\n"
    )
    synced = "yes" if machine.clock_synced else "no"
    programs["timedatectl"] = [
        ("show --property=NTPSynchronized", f"NTPSynchronized={synced}", 0)
    ]
    programs["docker"] = [("compose version --short", facts.compose.version, 0)]


def _kernel(facts, files, links, programs) -> None:
    for gpu in facts.pci_gpus:
        folder = f"/sys/bus/pci/devices/{gpu.bus_id}"
        files[f"{folder}/vendor"] = "0x10de\n"
        files[f"{folder}/device"] = f"0x{gpu.device[5:]}\n"
        files[f"{folder}/class"] = "0x030200\n"
        if gpu.driver:
            links[f"{folder}/driver"] = f"../../drivers/{gpu.driver}"
    if len(facts.pci_gpus) == 1:  # A GPU's audio function is no GPU.
        audio = f"/sys/bus/pci/devices/{facts.pci_gpus[0].bus_id[:-1]}1"
        files[f"{audio}/vendor"], files[f"{audio}/class"] = "0x10de\n", "0x040300\n"
    if facts.nvswitch:
        files["/sys/bus/pci/devices/0000:05:00.0/vendor"] = "0x10de\n"
        files["/sys/bus/pci/devices/0000:05:00.0/class"] = "0x068000\n"
        files["/dev/nvidia-nvswitch0"] = ""
    files["/sys/bus/.keep"] = ""
    if facts.driver.nouveau:
        files["/sys/module/nouveau/refcnt"] = "1\n"
    lines = ["[    0.000000] Linux version", "[    3.1] NVRM: loading NVIDIA UNIX"]
    lines += [f"[    9.0] {line}" for line in facts.kernel_log.nvrm]
    lines += [f"[   99.5] {xid.text}" for xid in facts.kernel_log.xids]
    programs["dmesg"] = [("", "\n".join(lines), 0)]


def _driver(facts, files, links, programs) -> None:
    driver, arch = facts.driver, facts.machine.arch
    if driver.loaded:
        kind = (
            f"NVIDIA UNIX Open Kernel Module for {arch}  {driver.loaded}  Release Build"
            if driver.module == "open"
            else f"NVIDIA UNIX {arch} Kernel Module  {driver.loaded}  Thu Mar  7"
        )
        files["/proc/driver/nvidia/version"] = (
            f"NVRM version: {kind}  (builder@host)\nGCC version:  gcc version 12.3.0\n"
        )
        if not facts.gpus:
            files["/proc/driver/nvidia/gpus/.keep"] = ""
        for gpu in facts.gpus or ():
            if gpu.bus_id:
                files[f"/proc/driver/nvidia/gpus/{gpu.bus_id}/information"] = (
                    f"Model: \t\t {gpu.name}\nIRQ:   \t\t 87\nGPU UUID: \t {gpu.uuid}\n"
                    f"Bus Type: \t PCIe\nBus Location: \t {gpu.bus_id}\n"
                    f"Device Minor: \t {gpu.index}\n"
                )
        files["/dev/nvidia0"] = ""
    if driver.on_disk:
        licence = "Dual MIT/GPL" if driver.module == "open" else "NVIDIA"
        programs["modinfo"] = [
            ("-F version nvidia", driver.on_disk, 0),
            ("-F license nvidia", licence, 0),
        ]
    else:
        programs["modinfo"] = [("*", "modinfo: ERROR: Module nvidia not found.", 1)]
    if driver.user_space:
        place = _library_place(facts)
        files[f"{place}/libnvidia-ml.so.{driver.user_space}"] = ""
        files[f"{place}/libcuda.so.{driver.user_space}"] = ""
        links[f"{place}/libnvidia-ml.so.1"] = f"libnvidia-ml.so.{driver.user_space}"
        links[f"{place}/libcuda.so.1"] = f"libcuda.so.{driver.user_space}"
        programs["nvidia-smi"] = smi_answers(facts)
    if driver.persistenced:
        files["/proc/812/comm"] = "nvidia-persiste\n"


def _library_place(facts: HostFacts) -> str:
    if facts.machine.os_id == "rhel":
        return "/usr/lib64"
    return f"/usr/lib/{facts.machine.arch}-linux-gnu"


def _toolkit(facts, files, programs) -> None:
    toolkit = facts.toolkit
    if toolkit.installed:
        number = toolkit.version
        says = f"NVIDIA Container Toolkit CLI version {number}\ncommit: 5e4d6e"
        programs["nvidia-ctk"] = [("--version", says, 0)]
        says = f"cli-version: {toolkit.container_cli}\nlib-version: {number}"
        programs["nvidia-container-cli"] = [("--version", says, 0)]
        programs["nvidia-container-runtime"] = [("*", "", 0)]
        lines = [
            "#accept-nvidia-visible-devices-as-volume-mounts = false",
            'supported-driver-capabilities = "compat32,compute,utility"',
            "[nvidia-container-cli]",
            'environment = []\nldconfig = "@/sbin/ldconfig.real"',
            f"no-cgroups = {str(toolkit.no_cgroups).lower()}",
            "[nvidia-container-runtime]",
            'log-level = "info"\nruntimes = ["runc", "crun"]',
            f'mode = "{toolkit.mode}"  # as installed' if toolkit.mode else "",
            "[nvidia-container-runtime.modes.cdi]",
            'annotation-prefixes = ["cdi.k8s.io/"]',
        ]
        if toolkit.cuda_compat_mode:
            lines.append("[nvidia-container-runtime.modes.legacy]")
            lines.append(f"cuda-compat-mode = '{toolkit.cuda_compat_mode}'")
        if toolkit.compat_hook_disabled:
            lines += ["[features]", "disable-cuda-compat-lib-hook = true"]
        text = "\n".join(lines) + "\n"
        files["/etc/nvidia-container-runtime/config.toml"] = text
    if toolkit.runtime_hook:
        programs["nvidia-container-runtime-hook"] = [("*", "", 0)]
    if toolkit.cdi_hook:
        programs["nvidia-cdi-hook"] = [("*", "", 0)]
    files["/dev/char/1:3"] = ""
    if toolkit.char_links:
        files["/dev/char/195:0"] = ""


def _docker(facts, files) -> None:
    if facts.engine.kind != "docker":
        return
    place = "/root/.config/docker" if facts.engine.rootless else "/etc/docker"
    runtime = {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}
    value = {"runtimes": runtime} if facts.toolkit.runtime_configured else {}
    files[f"{place}/daemon.json"] = json.dumps(value, indent=4)
    files["/run/docker.pid"] = "700"
    files["/proc/700/comm"] = "dockerd\n"
    fields = " ".join(["S", *["0"] * 18, "1000", "0"])
    files["/proc/700/stat"] = f"700 (dockerd) {fields}\n"


def _cdi(facts, files) -> None:
    for spec in facts.cdi_specs:
        version = spec.driver_versions[0]
        folder = _library_place(facts)
        devices = "".join(
            f'    - name: "{name}"\n      containerEdits:\n        deviceNodes:\n'
            "            - path: /dev/nvidia0\n"
            for name in spec.devices
        )
        files[spec.path] = (
            f"---\ncdiVersion: 0.5.0\nkind: {spec.kind}\ndevices:\n{devices}"
            "containerEdits:\n    env:\n        - NVIDIA_VISIBLE_DEVICES=void\n"
            "    deviceNodes:\n        - path: /dev/nvidia0\n    hooks:\n"
            "        - hookName: createContainer\n          path: /dev/nvidia0\n"
            "          args:\n            - nvidia-cdi-hook\n            - --folder\n"
            "    mounts:\n"
            f"        - hostPath: {folder}/libcuda.so.{version}\n"
            f"          containerPath: {folder}/libcuda.so.{version}\n"
            "          options:\n            - ro\n            - nosuid\n"
        )


def _fabric(facts, files, programs) -> None:
    manager = facts.fabric_manager
    if not manager.installed:
        return
    says = f"Fabric Manager version is : {manager.version}"
    programs["nv-fabricmanager"] = [("--version", says, 0)]
    state = "active" if manager.active else "inactive"
    code = 0 if manager.active else 3
    programs["systemctl"] = [("is-active nvidia-fabricmanager", state, code)]


def _engine(folder: Path, facts: HostFacts) -> None:
    engine = facts.engine
    podman = engine.kind == "podman"
    version = {
        "ApiVersion": engine.api_version,
        "Arch": "arm64" if facts.machine.arch == "aarch64" else "amd64",
        "Components": [{"Name": "Podman Engine" if podman else "Engine"}],
        "MinAPIVersion": "1.24",
        "Os": "linux",
        "Version": engine.version,
    }
    security = ["name=seccomp,profile=builtin"]
    info = {
        "CgroupDriver": engine.cgroup_driver,
        "CgroupVersion": str(engine.cgroup_version),
        "DefaultRuntime": engine.default_runtime,
        "DockerRootDir": engine.data_root,
        "Driver": engine.storage_driver,
        "DriverStatus": [["Backing Filesystem", "extfs"]],
        "Runtimes": {name: {"path": name} for name in engine.runtimes},
        "SecurityOptions": security + ["name=rootless"] * bool(engine.rootless),
    }
    if engine.image_store == "containerd":
        info["DriverStatus"] = [["driver-type", "io.containerd.snapshotter.v1"]]
    if engine.cdi_dirs is not None:
        info["CDISpecDirs"] = list(engine.cdi_dirs)
    if engine.cdi_devices is not None:
        info["DiscoveredDevices"] = [
            {"ID": name, "Source": "cdi"} for name in engine.cdi_devices
        ]
    for name, value in (("version", version), ("info", info)):
        text = json.dumps(value, indent=1, sort_keys=True) + "\n"
        (folder / f"engine-{name}.json").write_text(text)
