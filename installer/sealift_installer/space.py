"""Is there room? The exact bytes and names an install writes, per file system.

Deciding is pure: `shortages` compares needs with file systems; `probe` reads them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Callable, Dict, Iterable, List, Tuple

from sealift_manifests.errors import PreflightError
from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.index import Content
from sealift_manifests.model_entries import ModelEntry
from sealift_manifests.sizes import human
from sealift_manifests.trees import tree_of

from sealift_installer.image_recovery import Recovery

METADATA = 4 << 20
"""Bytes set aside for directories, the release's files and the ledger."""


@dataclass(frozen=True)
class Need:
    """What will be written below `path`: bytes and file names (inodes)."""

    path: str
    size: int
    names: int
    what: str


@dataclass(frozen=True)
class FileSystem:
    """A file system: what is free on it, and the size of its blocks, in bytes."""

    device: int
    free: int
    free_names: int
    block: int


def probe(path: str) -> FileSystem:
    """Read the file system that `path`, or its nearest existing parent, lies on."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    status = os.statvfs(path)
    # File systems without a limit of inodes, such as btrfs, report 0 of them.
    names = status.f_favail if status.f_files else 2**62
    device = os.stat(path).st_dev
    return FileSystem(device, status.f_bavail * status.f_frsize, names, status.f_frsize)


def weights_need(
    state: str, contents: Iterable[Content], trees: Iterable[ModelEntry], block: int
) -> Need:
    """Return what staging these files and trees writes below the state directory."""
    contents = tuple(contents)
    size = sum(-(-content.size // block) * block for content in contents)
    entries = [entry for model in trees for entry in tree_of(model)]
    own = [entry for entry in entries if entry.content is None]
    folders = {os.path.dirname(entry.path) for entry in entries}
    return Need(
        path=state,
        size=size + block * (len(own) + len(folders)) + METADATA,
        names=len(contents) + len(own) + len(folders) + 64,
        what="weights",
    )


def image_need(root_dir: str, image: ImageEntry) -> Need:
    """Return what loading an image takes below the engine's data directory.

    The engine keeps the archive (in a temporary file, or for good in its content
    store) and the unpacked layers beside it.
    """
    unpacked = sum(layer.diff_size for layer in image.layers)
    return Need(root_dir, image.size + unpacked, 0, f"image {image.name}")


def recovery_need(root_dir: str, image: ImageEntry, recovery: Recovery) -> Need:
    """Return what loading an image takes whose old layers the engine has.

    Layers from the first new one up are unpacked. An engine that gives plain tars
    assembles the image that it exports in a file, and keeps what it gives in another.
    """
    taken = [layer in recovery.layers for layer in image.layers]
    first = taken.index(False) if False in taken else len(taken)
    size = sum(layer.diff_size for layer in image.layers[first:])
    size += recovery.archive_size(image)
    if recovery.exact:
        size -= recovery.passing  # It has these blobs already, and keeps them once.
    else:
        size += max(sum(x.diff_size for x in each.layers) for each in recovery.sources)
    return Need(root_dir, size, 0, f"image {image.name}")


def shortages(
    needs: Iterable[Need], read: Callable[[str], FileSystem]
) -> Tuple[str, ...]:
    """Return a sentence for each file system that cannot take what is to be written."""
    systems: Dict[int, FileSystem] = {}
    wanted: Dict[int, List[Need]] = {}
    for need in needs:
        system = read(need.path)
        systems[system.device] = system
        wanted.setdefault(system.device, []).append(need)
    found = []
    for device, system in systems.items():
        here = wanted[device]
        places = ", ".join(dict.fromkeys(need.path for need in here))
        size = sum(need.size for need in here)
        names = sum(need.names for need in here)
        if size > system.free:
            parts = ", ".join(f"{need.what} {human(need.size)}" for need in here)
            found.append(
                f"the file system of {places} has {human(system.free)} free, and "
                f"{human(size)} are needed ({parts}): {human(size - system.free)} short"
            )
        if names > system.free_names:
            found.append(
                f"the file system of {places} has {system.free_names} inodes free, "
                f"and {names} are needed"
            )
    return tuple(found)


def check_space(needs: Iterable[Need]) -> None:
    """Raise PreflightError naming every file system that is too full."""
    found = shortages(needs, probe)
    if found:
        raise PreflightError(
            "\n".join(found),
            hint="Free that much, or choose another place with --state-dir. Nothing "
            "was changed.",
        )
