"""The container engine: what it says of itself, and since when it runs."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Optional, Tuple

from sealift_manifests.errors import EngineError
from sealift_manifests.preflight.facts import Engine as EngineFacts
from sealift_manifests.preflight.facts import Fault

from sealift_installer.engine import Engine, printable
from sealift_installer.probe.processes import processes, started
from sealift_installer.probe.sources import Sources

_SNAP = "/var/snap/docker"
_CDI_SINCE = (4, 1)
"""The first Podman that knows CDI."""


def read_engine(sources: Sources, engine: Engine) -> EngineFacts:
    """Return what the engine says; with a `fault` where it says nothing."""
    try:
        version, info = engine.get("/version"), engine.get("/info")
    except EngineError as error:
        return EngineFacts(fault=_fault(sources, error))
    if not isinstance(version, dict) or not isinstance(info, dict):
        return EngineFacts(fault=Fault("unknown-error", "its answers are not objects"))
    return _facts(version, info)


def _fault(sources: Sources, error: EngineError) -> Fault:
    if isinstance(error.__cause__, PermissionError):
        return Fault("no-permission", error.message)
    there = any(map(sources.program, ("docker", "dockerd", "podman")))
    return Fault("not-running" if there else "not-installed", error.message)


def _facts(version: Dict[str, Any], info: Dict[str, Any]) -> EngineFacts:
    components = version.get("Components") or [{}]
    podman = "podman" in str(components[0].get("Name")).lower()
    number = printable(version.get("Version")) or None
    root = str(info.get("DockerRootDir") or "") or None
    on, dirs = _cdi(info, number, podman=podman)
    cgroups = str(info.get("CgroupVersion") or "")
    return EngineFacts(
        kind="podman" if podman else "docker",
        version=number,
        api_version=printable(version.get("ApiVersion")) or None,
        image_store=None if podman else _store(info),
        storage_driver=printable(info.get("Driver")) or None,
        cgroup_driver=printable(info.get("CgroupDriver")) or None,
        cgroup_version=int(cgroups) if cgroups in ("1", "2") else None,
        runtimes=tuple(sorted(map(printable, info.get("Runtimes") or ()))),
        default_runtime=printable(info.get("DefaultRuntime")) or None,
        cdi=on,
        cdi_dirs=dirs,
        cdi_devices=_devices(info),
        rootless="name=rootless" in (info.get("SecurityOptions") or ()),
        snap=bool(root and root.startswith(_SNAP)),
        data_root=root,
    )


def _store(info: Dict[str, Any]) -> str:
    status = str(info.get("DriverStatus"))
    return "containerd" if "io.containerd.snapshotter" in status else "graphdriver"


def _cdi(
    info: Dict[str, Any], version: Optional[str], *, podman: bool
) -> Tuple[Optional[bool], Optional[Tuple[str, ...]]]:
    if podman:
        # Podman has no switch for CDI, and does not say where it looks.
        numbers = re.findall(r"\d+", version or "")
        known = tuple(map(int, numbers[:2])) >= _CDI_SINCE if numbers else None
        return known, None
    # Docker lists directories only while CDI is on; before 25 it knew none.
    dirs = tuple(map(printable, info.get("CDISpecDirs") or ()))
    return bool(dirs), dirs


def _devices(info: Dict[str, Any]) -> Optional[Tuple[str, ...]]:
    devices = info.get("DiscoveredDevices")
    if not isinstance(devices, list):
        return None
    return tuple(
        printable(each.get("ID"))
        for each in devices
        if isinstance(each, dict) and each.get("Source") == "cdi"
    )


def engine_started(sources: Sources, *, rootless: bool) -> Optional[float]:
    """Return when the Docker daemon was started, in seconds since 1970, or None."""
    places = [f"/run/user/{os.getuid()}/docker.pid"] if rootless else []
    for place in (*places, "/run/docker.pid", "/var/run/docker.pid"):
        pid = sources.line(place)
        if pid and pid.isdigit():
            return started(sources, pid)
    # It may be told to keep no such file, or to keep it elsewhere.
    running = processes(sources, "dockerd")
    return started(sources, running[0]) if len(running) == 1 else None
