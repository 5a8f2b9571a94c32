"""What an install still has to do. Pure: bundle and host state in, steps out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import FrozenSet, Optional, Tuple

from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.index import Content
from sealift_manifests.model import Manifest
from sealift_manifests.model_entries import ModelEntry
from sealift_manifests.volume_entries import VolumeEntry


@dataclass(frozen=True)
class HostState:
    """What is on the host already, as far as one bundle is concerned.

    `has_engine` is False where none answers and none is needed. `current` is the
    release in use, `release` the place of this bundle's own. `data` are the volumes of
    data that stay as they are.
    """

    missing_contents: Tuple[Content, ...]
    trees: FrozenSet[str]
    volumes: FrozenSet[str]
    images: FrozenSet[str]
    has_engine: bool
    has_release: bool
    current: Optional[str]
    release: str
    data: FrozenSet[str] = frozenset()


@dataclass(frozen=True)
class InstallPlan:
    """The steps that bring the host to the bundle, in the order they are taken."""

    contents: Tuple[Content, ...]
    trees: Tuple[ModelEntry, ...]
    volumes: Tuple[ModelEntry, ...]
    images: Tuple[ImageEntry, ...]
    write_release: bool
    switch: bool
    data: Tuple[VolumeEntry, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self == InstallPlan((), (), (), (), False, False)

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights to write."""
        return sum(content.size for content in self.contents)


def plan_install(manifest: Manifest, host: HostState) -> InstallPlan:
    """Return what is left to do, so that an install that was cut off is finished."""
    trees = tuple(m for m in manifest.models if m.name not in host.trees)
    volumes = tuple(m for m in manifest.models if m.name not in host.volumes)
    return InstallPlan(
        contents=host.missing_contents,
        trees=trees,
        volumes=volumes if host.has_engine else (),
        images=tuple(i for i in manifest.images if i.name not in host.images),
        write_release=not host.has_release,
        switch=host.current != host.release,
        data=tuple(v for v in manifest.volumes if v.name not in host.data),
    )
