"""Volumes of data as manifests/FORMAT.md has them (8, 14a), with none of our code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def need(condition: object, what: str) -> None:
    """Refuse the volume unless the condition holds."""
    if not condition:
        raise ValueError(what)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def files_of(volume: Mapping[str, Any], listing: str) -> list[Mapping[str, Any]]:
    """Return the files of a volume whose checksum list has this digest."""
    items = {item["path"]: item for item in volume["items"]}
    paths = list(items)
    need(len(paths) == len(volume["items"]), "a name twice")
    need(paths[0] == "." and paths[1:] == sorted(paths[1:]), "order of items")
    lines = ""
    for path, item in items.items():
        above = path.rpartition("/")[0] or "."
        need(items[above]["kind"] == "directory", "in no directory")
        file = items.get(item["target"], {}) if item["kind"] == "hardlink" else item
        need(item["kind"] != "hardlink" or file.get("kind") == "file", "hard link")
        need((item["kind"] == "file") == ("digest" in item), "digest")
        need(("link" in item["kind"]) == ("target" in item), "target")
        if "digest" in file:
            lines += f"{file['digest'][7:]}  {path}\n"
    need(digest(lines.encode()) == listing, "list of a volume")
    return [item for item in items.values() if item["kind"] == "file"]


def identity(volume: Mapping[str, Any]) -> str:
    """Return what names just this volume."""
    dump = [
        json.dumps(item, sort_keys=True, separators=(",", ":"))
        for item in volume["items"]
    ]
    return digest("".join(f"{line}\n" for line in dump).encode())
