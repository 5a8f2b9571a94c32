"""What releases need of a host, who else uses it, and how many bytes it holds.

Deciding what may go is set arithmetic: the needs of the releases that go, less the
needs of those that stay.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Counter, Dict, Iterable, Iterator, Tuple

from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.model import Manifest
from sealift_manifests.model_entries import ModelEntry
from sealift_manifests.names import volume_name

from sealift_installer.containers import Container
from sealift_installer.layout import Layout
from sealift_installer.releases import Release
from sealift_installer.trees import compare_names, walk


@dataclass(frozen=True)
class Things:
    """Trees and stored files by path, volumes by name, images by reference.

    `folders` are the directories of the releases themselves.
    """

    trees: Dict[str, ModelEntry] = field(default_factory=dict)
    contents: Dict[str, int] = field(default_factory=dict)
    volumes: Dict[str, ModelEntry] = field(default_factory=dict)
    images: Dict[str, ImageEntry] = field(default_factory=dict)
    folders: Dict[str, Manifest] = field(default_factory=dict)

    def without(self, other: Things) -> Things:
        """Return what the other does not need."""
        return Things(
            {k: v for k, v in self.trees.items() if k not in other.trees},
            {k: v for k, v in self.contents.items() if k not in other.contents},
            {k: v for k, v in self.volumes.items() if k not in other.volumes},
            {k: v for k, v in self.images.items() if k not in other.images},
            {k: v for k, v in self.folders.items() if k not in other.folders},
        )

    def image_bytes(self, kept: Things) -> int:
        """Return the bytes of unpacked layers that no kept image of ours has."""
        stay = {layer.diff_id for i in kept.images.values() for layer in i.layers}
        layers = {
            layer.diff_id: layer.diff_size
            for image in self.images.values()
            for layer in image.layers
        }
        return sum(size for diff_id, size in layers.items() if diff_id not in stay)


def things_of(layout: Layout, releases: Iterable[Release]) -> Things:
    """Return all that these releases need."""
    things = Things()
    for release in releases:
        manifest = release.manifest
        things.folders[release.path] = manifest
        for model in manifest.models:
            name = volume_name(manifest.name, model.name, model.tree)
            things.volumes[name] = model
            things.trees[layout.tree(model)] = model
            for file in model.files:
                things.contents[layout.content(file.digest)] = file.size
        for image in manifest.images:
            things.images[image.reference] = image
    return things


def uses(container: Container, things: Things, layout: Layout) -> Iterator[str]:
    """Yield what of these things a container has mounted or is made of, in words."""
    root = layout.state
    for name in sorted(container.volumes & set(things.volumes)):
        yield f"has volume {name}"
    for path in (*sorted(things.trees), *sorted(things.folders)):
        if container.mounts(path, root):
            yield f"has {path} mounted"
    if container.mounts(layout.store, root):
        for path in sorted(things.contents):
            if container.mounts(path, root):
                yield f"has {path} mounted"
    for image in things.images.values():
        if container.has_image(image):
            yield f"is made of image {image.reference}"


def not_ours(tree: str, model: ModelEntry) -> Iterator[str]:
    """Yield the files in a model's tree that Sealift did not put there."""
    for path, fault in compare_names(tree, model)[0].items():
        if fault == "extra":
            yield os.path.join(tree, path)


def bytes_freed(paths: Iterable[str]) -> int:
    """Return the bytes that go when all these files and trees are removed.

    A file that has another name somewhere else frees nothing.
    """
    names: Counter[Tuple[int, int]] = Counter()
    found: Dict[Tuple[int, int], os.stat_result] = {}
    for status in _statuses(paths):
        identity = (status.st_dev, status.st_ino)
        names[identity] += 1
        found[identity] = status
    return sum(
        status.st_size
        for identity, status in found.items()
        if names[identity] >= status.st_nlink
    )


def _statuses(paths: Iterable[str]) -> Iterator[os.stat_result]:
    for path in dict.fromkeys(paths):
        if not os.path.lexists(path):
            continue
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            for _, status in walk(path):
                if stat.S_ISREG(status.st_mode):
                    yield status
        elif stat.S_ISREG(status.st_mode):
            yield status
