"""The machine and its system: kernel, memory, disks, clock, what guards it."""

from __future__ import annotations

import os
import platform
import re
from typing import Dict, Iterable, Optional, Tuple

from sealift_manifests.preflight.facts import FileSystem, Machine

from sealift_installer.probe.ports import listening
from sealift_installer.probe.sources import Sources

Place = Tuple[str, str]
"""A path to look at, and why: the purposes of `FileSystem`."""

_SECURE_BOOT = (
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
)
_RANGE = re.compile(r"(\d+)(?:-(\d+))?\Z")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def read_machine(sources: Sources, places: Iterable[Place]) -> Machine:
    """Return what the machine is; `places` are the paths whose disks matter."""
    release = _os_release(sources)
    memory = _memory(sources)
    return Machine(
        os_id=release.get("ID"),
        os_version=release.get("VERSION_ID"),
        kernel=sources.kernel or sources.line("/proc/sys/kernel/osrelease"),
        glibc=_glibc(),
        python=platform.python_version(),
        arch=sources.arch or None,
        cpus=_cpus(sources.line("/sys/devices/system/cpu/online")),
        memory_total=memory.get("MemTotal"),
        memory_available=memory.get("MemAvailable"),
        file_systems=tuple(_file_system(sources, each) for each in places),
        ports=listening(sources),
        selinux=_selinux(sources),
        apparmor=_apparmor(sources),
        clock=sources.now(),
        clock_synced=_clock_synced(sources),
        systemd=sources.exists("/run/systemd/system"),
        secure_boot=_secure_boot(sources),
    )


def host_name(sources: Sources) -> Optional[str]:
    """Return the host's name."""
    return sources.name or sources.line("/proc/sys/kernel/hostname")


def _os_release(sources: Sources) -> Dict[str, str]:
    places = ("/etc/os-release", "/usr/lib/os-release")
    text = next(filter(None, map(sources.read, places)), "")
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def _glibc() -> Optional[str]:
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return None
    return text.partition(" ")[2] or None


def _cpus(text: Optional[str]) -> Optional[int]:
    """Count a kernel's list of numbers: 0-3,8."""
    if not text:
        return None
    total = 0
    for part in text.split(","):
        found = _RANGE.match(part)
        if not found:
            return None
        first, last = found.groups()
        total += int(last or first) - int(first) + 1
    return total


def _memory(sources: Sources) -> Dict[str, int]:
    found = {}
    for line in (sources.read("/proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdigit():
            found[key] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found


def _file_system(sources: Sources, place: Place) -> FileSystem:
    path, purpose = place
    there = path
    while not sources.exists(there) and there != "/":
        there = os.path.dirname(there)
    try:
        status, device = (
            os.statvfs(sources.at(there)),
            os.stat(sources.at(there)).st_dev,
        )
    except OSError:
        return FileSystem(path, purpose)
    return FileSystem(
        path=path,
        purpose=purpose,
        device=device,
        type=_type(sources, there),
        size=status.f_blocks * status.f_frsize,
        free=status.f_bavail * status.f_frsize,
        # File systems without a limit of inodes, such as btrfs, report 0 of them.
        free_inodes=status.f_favail if status.f_files else None,
    )


def _type(sources: Sources, path: str) -> Optional[str]:
    real = os.path.realpath(path) if sources.root == "/" else path
    best, found = -1, None
    for line in (sources.read("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.partition(" ")[0]
        if len(fields) < 5:
            continue
        mounted = _ESCAPE.sub(lambda each: chr(int(each.group(1), 8)), fields[4])
        inside = mounted == "/" or real == mounted or real.startswith(mounted + "/")
        # What is mounted later on the same place hides what was there.
        if inside and len(mounted) >= best:
            best, found = len(mounted), kind
    return found


def _selinux(sources: Sources) -> Optional[str]:
    enforce = sources.line("/sys/fs/selinux/enforce")
    if enforce is not None:
        return "enforcing" if enforce == "1" else "permissive"
    if sources.exists("/sys/fs/selinux/enforce"):
        return None
    return "disabled" if sources.exists("/sys/fs") else None


def _apparmor(sources: Sources) -> Optional[bool]:
    if sources.names("/sys/module") is None:
        return None
    enabled = sources.line("/sys/module/apparmor/parameters/enabled")
    if enabled is None and sources.exists("/sys/module/apparmor/parameters/enabled"):
        return None
    return enabled == "Y"


def _clock_synced(sources: Sources) -> Optional[bool]:
    ran = sources.run("timedatectl", "show", "--property=NTPSynchronized")
    value = ran.out.strip().partition("=")[2] if ran and ran.ok else ""
    return {"yes": True, "no": False}.get(value)


def _secure_boot(sources: Sources) -> Optional[bool]:
    if not sources.exists("/sys/firmware"):
        return None
    if not sources.exists("/sys/firmware/efi"):
        return False
    # Four bytes of attributes stand before the value.
    value = sources.read_bytes(_SECURE_BOOT)
    return value[4] == 1 if value and len(value) > 4 else None
