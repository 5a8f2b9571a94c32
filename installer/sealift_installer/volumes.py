"""Named volumes that show a tree of this host to containers, read-only.

The volume is a name for a directory; the bytes stay where the installer staged
them, and removing the volume leaves them there.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping, Optional, Tuple

from sealift_manifests.errors import EngineError, StagingError

from sealift_installer.engine import Engine, EngineRefusedError, name_in_path, printable

BUNDLE_LABEL = "sealift.bundle"
"""The label of a volume that says which bundle it was made for."""


def ensure_volume(
    engine: Engine, name: str, device: str, labels: Mapping[str, str]
) -> None:
    """Make volume `name` lead to the directory `device`, unless it does already.

    Raises StagingError when the directory is not there (an engine notices only
    at the first start), or when the name is taken by another volume.
    """
    if not os.path.isdir(device):
        raise StagingError(
            f"volume {name} is to show {device}, which is not a directory",
            hint="Run the install again: it stages what is missing.",
        )
    found = _inspect(engine, name)
    if found is None:
        wanted = {
            "Name": name,
            "Driver": "local",
            "DriverOpts": _options(device),
            "Labels": dict(labels),
        }
        # For a name that exists an engine says yes and keeps the old options, so
        # the answer is looked at like any volume that was there.
        found = engine.send("POST", "/volumes/create", wanted)
    if _place(found) != _options(device):
        raise StagingError(
            f"the volume name {name} is taken: it leads to {_shown(found)}, not to "
            f"{device}",
            hint=f"If nothing needs that volume, remove it (`docker volume rm {name}`) "
            "and run this again.",
        )


def volume_fault(engine: Engine, name: str, device: str) -> Optional[str]:
    """Return what is wrong with the volume, or None when it leads to `device`."""
    found = _inspect(engine, name)
    if found is None:
        return f"the engine has no volume {name}"
    if _place(found) != _options(device):
        return f"volume {name} leads to {_shown(found)}, not read-only to {device}"
    return None


def made_volumes(engine: Engine, root: str) -> Tuple[str, ...]:
    """Return the volumes that Sealift made and that lead to a place below `root`."""
    filters = json.dumps({"label": [BUNDLE_LABEL]})
    found = engine.get("/volumes", filters=filters) or {}
    names = []
    for volume in found.get("Volumes") or []:
        device = (_place(volume) or {}).get("device")
        if device and str(device).startswith(root + os.sep):
            names.append(str(volume["Name"]))
    return tuple(sorted(names))


def remove_volume(engine: Engine, name: str) -> None:
    """Remove the volume if it is there. The directory it shows stays."""
    try:
        engine.send("DELETE", f"/volumes/{name_in_path(name)}")
    except EngineRefusedError as refusal:
        if refusal.status == 404:
            return
        if refusal.status != 409:
            raise
        raise EngineError(
            f"volume {name} is in use: {refusal.message}",
            hint="Stop and remove the containers that mount it, then run this again.",
        ) from refusal


def _inspect(engine: Engine, name: str) -> Optional[Dict[str, Any]]:
    found = engine.find(f"/volumes/{name_in_path(name)}")
    return found if isinstance(found, dict) else None


def _options(device: str) -> Dict[str, str]:
    # `ro` here holds however a container mounts the volume. It also keeps the
    # engine from copying an image's own files into the tree.
    return {"type": "none", "o": "bind,ro", "device": device}


def _place(found: Mapping[str, Any]) -> Optional[Dict[str, str]]:
    return found.get("Options") if found.get("Driver") == "local" else None


def _shown(found: Mapping[str, Any]) -> str:
    options = found.get("Options") or {}
    place = options.get("device") or found.get("Mountpoint") or "a place of its own"
    how = options.get("o") or "no options"
    return f"{printable(place)} ({printable(found.get('Driver'))}, {printable(how)})"
