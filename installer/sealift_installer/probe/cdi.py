"""CDI specifications: which devices they offer, and whether they fit the driver.

JSON, and the simple YAML that nvidia-ctk writes; another spelling is a fault, not a
guess.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Iterable, Iterator, Optional, Tuple

from sealift_manifests.preflight.facts import CdiSpec, Fault

from sealift_installer.probe.blocks import read_blocks
from sealift_installer.probe.sources import Sources

DEFAULT_DIRS = ("/etc/cdi", "/var/run/cdi")
_SUFFIXES = (".json", ".yaml", ".yml")
_LIBRARY = re.compile(r"lib(?:cuda|nvidia)[^/]*\.so\.(\d{3,}\.\d+(?:\.\d+)?)\Z")


def read_specs(
    sources: Sources, dirs: Optional[Tuple[str, ...]]
) -> Tuple[CdiSpec, ...]:
    """Return the NVIDIA specifications in these directories, or the usual ones."""
    found = []
    for folder in dirs or DEFAULT_DIRS:
        for name in sources.names(folder) or ():
            if name.endswith(_SUFFIXES):
                found.append(_spec(sources, os.path.join(folder, name)))
    return tuple(
        spec for spec in found if spec.kind is None or spec.kind.startswith("nvidia.")
    )


def _spec(sources: Sources, path: str) -> CdiSpec:
    text = sources.read(path)
    if text is None:
        return CdiSpec(path, fault=Fault("no-permission", "it cannot be read"))
    try:
        value = json.loads(text) if path.endswith(".json") else read_blocks(text)
        names = tuple(str(each["name"]) for each in _items(value, "devices"))
        paths = sorted(set(_host_paths(value)))
        kind = str(value["kind"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return CdiSpec(path, fault=Fault("unknown-error", f"not understood: {error}"))
    versions = {found.group(1) for found in map(_LIBRARY.search, paths) if found}
    return CdiSpec(
        path=path,
        kind=kind,
        devices=names,
        driver_versions=tuple(sorted(versions)),
        missing=tuple(each for each in paths if not sources.exists(each)),
    )


def _items(value: Any, key: str) -> Iterable[Any]:
    found = value.get(key)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise ValueError(f"{key} is not a list")
    return found


def _host_paths(value: Any) -> Iterator[str]:
    """Yield every path of the host that a specification names."""
    for holder in (value, *_items(value, "devices")):
        edits = holder.get("containerEdits") or {}
        for node in _items(edits, "deviceNodes"):
            yield str(node.get("hostPath") or node["path"])
        for mount in _items(edits, "mounts"):
            yield str(mount["hostPath"])
        for hook in _items(edits, "hooks"):
            yield str(hook["path"])
