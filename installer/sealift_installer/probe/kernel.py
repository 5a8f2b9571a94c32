"""What the kernel knows of NVIDIA: modules, devices on the bus, its log.

Needs neither the driver's libraries nor its tools, so it works when they do not.
"""

from __future__ import annotations

import os
import re
from typing import Iterable, List, Optional, Tuple

from sealift_manifests.preflight.facts import Gpu, KernelLog, PciGpu, Xid

from sealift_installer.probe.answer import bus_id
from sealift_installer.probe.sources import Sources

VERSION = "/proc/driver/nvidia/version"
GPUS = "/proc/driver/nvidia/gpus"
PCI = "/sys/bus/pci/devices"
NVIDIA = "0x10de"

_GPU_CLASSES = ("0x0300", "0x0302")
_BRIDGE_CLASS = "0x0680"
_NUMBER = re.compile(r"Module.*?\s(\d{3,}\.\d+(?:\.\d+)?)\s")
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)(?=[,\s])")
_OF_INTEREST = re.compile(
    r"open kernel modules|RmInitAdapter|API mismatch|fallen off the bus|GPU is lost"
    r"|No NVIDIA GPU found|unsupported|probe routine|Lockdown"
)
_MAX_XIDS = 200
_MAX_LINES = 40


def loaded_version(sources: Sources) -> Optional[str]:
    """Return the version of the kernel module in use, or None."""
    found = _NUMBER.search(sources.read(VERSION) or "")
    return found.group(1) if found else sources.line("/sys/module/nvidia/version")


def module_kind(sources: Sources) -> Optional[str]:
    """Return "open" or "proprietary" of the module in use, else of the one on disk."""
    text = sources.read(VERSION)
    if text and "Kernel Module" in text:
        return "open" if "Open Kernel Module" in text else "proprietary"
    licence = _modinfo(sources, "license")
    if licence is None:
        return None
    return "open" if "MIT" in licence else "proprietary"


def version_on_disk(sources: Sources) -> Optional[str]:
    """Return the version of the module that the next boot loads, or None."""
    return _modinfo(sources, "version")


def _modinfo(sources: Sources, field: str) -> Optional[str]:
    ran = sources.run("modinfo", "-F", field, "nvidia")
    if ran is None or not ran.ok:
        return None
    return ran.out.strip() or None


def nouveau_loaded(sources: Sources) -> Optional[bool]:
    """Say whether nouveau has been loaded; None where modules cannot be listed."""
    modules = sources.names("/sys/module")
    return None if modules is None else "nouveau" in modules


def known_gpus(sources: Sources) -> Optional[Tuple[Gpu, ...]]:
    """Return the GPUs the kernel module took, or None where none is loaded."""
    names = sources.names(GPUS)
    if names is None:
        return None
    found = [name for name in names if bus_id(name)]
    return tuple(_gpu(sources, index, name) for index, name in enumerate(found))


def _gpu(sources: Sources, index: int, name: str) -> Gpu:
    fields = {}
    for line in (sources.read(f"{GPUS}/{name}/information") or "").splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    uuid = fields.get("GPU UUID", "")
    return Gpu(
        index=index,
        name=fields.get("Model") or None,
        # Question marks stand there until the GPU was first used.
        uuid=uuid if uuid and "?" not in uuid else None,
        bus_id=bus_id(fields.get("Bus Location")) or bus_id(name),
    )


def pci_gpus(sources: Sources) -> Optional[Tuple[PciGpu, ...]]:
    """Return the NVIDIA GPUs on the PCI bus; None where it cannot be read."""
    devices = _nvidia_devices(sources)
    if devices is None:
        return None
    return tuple(
        PciGpu(
            bus_id=name,
            device=_pci_id(sources, name),
            driver=sources.link(f"{PCI}/{name}/driver") or "",
        )
        for name, kind in devices
        if kind.startswith(_GPU_CLASSES)
    )


def has_nvswitch(sources: Sources) -> Optional[bool]:
    """Say whether NVSwitch devices are there."""
    nodes = sources.names("/dev") or ()
    if any(name.startswith("nvidia-nvswitch") for name in nodes):
        return True
    devices = _nvidia_devices(sources)
    if devices is None:
        return None
    return any(kind.startswith(_BRIDGE_CLASS) for _, kind in devices)


def _nvidia_devices(sources: Sources) -> Optional[List[Tuple[str, str]]]:
    names = sources.names(PCI)
    if names is None:
        # Machines without a PCI bus have no such directory, but have /sys/bus.
        return [] if sources.names("/sys/bus") is not None else None
    return [
        (name, sources.line(f"{PCI}/{name}/class") or "")
        for name in names
        if sources.line(f"{PCI}/{name}/vendor") == NVIDIA
    ]


def _pci_id(sources: Sources, name: str) -> Optional[str]:
    device = sources.line(f"{PCI}/{name}/device")
    return f"{NVIDIA[2:]}:{device[2:]}" if device else None


def kernel_log(sources: Sources) -> KernelLog:
    """Return what the log of this boot says; `xids` None where it is closed to us."""
    lines = _log_lines(sources)
    if lines is None:
        return KernelLog()
    # What stands before differs between dmesg, the journal and the kernel's own log.
    ours = [line[line.index("NVRM") :].strip() for line in lines if "NVRM" in line]
    xids = [xid for xid in map(_xid, ours) if xid]
    told = [
        line for line in ours if not _XID.search(line) and _OF_INTEREST.search(line)
    ]
    return KernelLog(tuple(xids[-_MAX_XIDS:]), tuple(told[-_MAX_LINES:]))


def _xid(line: str) -> Optional[Xid]:
    found = _XID.search(line)
    if not found:
        return None
    # The kernel leaves out the function number: NVRM: Xid (PCI:0000:01:00).
    where = found.group(1)
    where = where if "." in where else f"{where}.0"
    return Xid(int(found.group(2)), bus_id(where), line)


def _log_lines(sources: Sources) -> Optional[Iterable[str]]:
    for command in (
        ("dmesg",),
        ("journalctl", "--dmesg", "--boot", "--no-pager", "--output=cat"),
    ):
        ran = sources.run(*command)
        if ran and ran.ok and ran.out:
            return ran.out.splitlines()
    return _kmsg(sources)


def _kmsg(sources: Sources) -> Optional[List[str]]:
    try:
        fd = os.open(sources.at("/dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    pieces = []
    try:
        while True:
            try:
                piece = os.read(fd, 1 << 16)
            except BrokenPipeError:
                continue  # That record was overwritten; the next one follows.
            except OSError:
                break
            if not piece:
                break
            pieces.append(piece)
    finally:
        os.close(fd)
    text = b"".join(pieces).decode("utf-8", "replace")
    return [line.partition(";")[2] for line in text.splitlines() if ";" in line]
