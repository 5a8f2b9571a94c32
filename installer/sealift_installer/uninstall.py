"""Remove a bundle from the host: only what Sealift made, only what no other needs.

The releases go last, for they say what else there is: an uninstall that was cut off
is finished by running it again. The serials, the ledger and the trusted keys stay.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import List, Set, Tuple

from sealift_manifests.errors import NotInstalledError
from sealift_manifests.model import Manifest
from sealift_manifests.names import project_name, volume_name

from sealift_installer import durable, releases, store
from sealift_installer.compose import Compose
from sealift_installer.health import is_there
from sealift_installer.host import Host
from sealift_installer.images import remove_image
from sealift_installer.plan import digests_in_use
from sealift_installer.releases import Release
from sealift_installer.running import project_of
from sealift_installer.volumes import remove_volume


@dataclass(frozen=True)
class Removed:
    """What an uninstall took away; `freed` is in bytes of weights."""

    releases: Tuple[str, ...]
    images: Tuple[str, ...]
    volumes: Tuple[str, ...]
    freed: int


def uninstall(host: Host, bundle: str) -> Removed:
    """Take the bundle's containers, volumes, images, trees and weights away."""
    with host.locked():
        if bundle not in releases.bundles_with_releases(host.layout):
            raise NotInstalledError(
                f"{bundle} is not installed below {host.layout.state}",
                hint="See `status` for what is installed, or give its --state-dir.",
            )
        gone = releases.releases_of(host.layout, bundle)
        kept = tuple(
            release.manifest
            for release in releases.all_releases(host.layout)
            if release.manifest.name != bundle
        )
        images, volumes = _leave_engine(host, gone, kept)
        durable.remove_file(host.layout.current(bundle))
        _remove_trees(host, gone, kept)
        freed = _remove_contents(host, kept)
        host.log("uninstall", gone[-1].manifest)
        durable.discard_directory(os.path.join(host.layout.releases, bundle))
        durable.remove_empty_parents(host.layout.releases, host.layout.state)
        return Removed(tuple(r.manifest.version for r in gone), images, volumes, freed)


def _leave_engine(
    host: Host, gone: Tuple[Release, ...], kept: Tuple[Manifest, ...]
) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
    if not any(release.record.engine for release in gone):
        return (), ()
    host.engine.facts()
    _stop(host, gone[-1])
    shared = {image.reference for manifest in kept for image in manifest.images}
    images: List[str] = []
    volumes: List[str] = []
    for release in gone:
        for model in release.manifest.models:
            name = volume_name(release.manifest.name, model.name, model.tree)
            if name not in volumes:
                remove_volume(host.engine, name)
                volumes.append(name)
        for image in release.manifest.images:
            ours = image.reference not in shared and image.reference not in images
            if ours and remove_image(host.engine, image):
                images.append(image.reference)
    return tuple(images), tuple(volumes)


def _stop(host: Host, release: Release) -> None:
    name = project_name(release.manifest.name)
    if release.manifest.stack and is_there(host.engine, name):
        Compose.find(host.engine).down(project_of(release))


def _remove_trees(
    host: Host, gone: Tuple[Release, ...], kept: Tuple[Manifest, ...]
) -> None:
    needed = {host.layout.tree(m) for manifest in kept for m in manifest.models}
    for release in gone:
        for model in release.manifest.models:
            tree = host.layout.tree(model)
            if tree not in needed:
                durable.discard_directory(tree)
                durable.remove_empty_parents(os.path.dirname(tree), host.layout.state)


def _remove_contents(host: Host, kept: Tuple[Manifest, ...]) -> int:
    used: Set[str] = set(digests_in_use(kept))
    freed = 0
    for path in store.unused_contents(host.layout, used):
        freed += os.lstat(path).st_size
        durable.remove_file(path)
        durable.remove_empty_parents(os.path.dirname(path), host.layout.state)
    return freed
