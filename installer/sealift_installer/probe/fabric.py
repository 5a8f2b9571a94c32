"""The Fabric Manager, which GPUs behind NVSwitches wait for."""

from __future__ import annotations

import re
from typing import Optional

from sealift_manifests.preflight.facts import FabricManager

from sealift_installer.probe.processes import is_running
from sealift_installer.probe.sources import Sources

PROGRAM, UNIT = "nv-fabricmanager", "nvidia-fabricmanager"
_UNIT_PLACES = ("/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/system")
_NUMBER = re.compile(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b")


def read_fabric_manager(sources: Sources) -> FabricManager:
    """Return whether it is installed, its version, and whether it runs."""
    ran = sources.run(PROGRAM, "--version")
    found = _NUMBER.search(ran.said) if ran else None
    units = (f"{place}/{UNIT}.service" for place in _UNIT_PLACES)
    installed = ran is not None or any(map(sources.exists, units))
    return FabricManager(
        installed=installed,
        version=found.group(1) if found else None,
        active=_is_active(sources) if installed else False,
    )


def _is_active(sources: Sources) -> Optional[bool]:
    ran = sources.run("systemctl", "is-active", UNIT)
    state = ran.out.strip() if ran else ""
    if state in ("active", "inactive", "failed", "activating", "deactivating"):
        return state == "active"
    return is_running(sources, PROGRAM)
