"""Take releases off the host: only what Sealift made, only what no other needs.

A release's own directory goes last, for it says what else there is: a removal that
was cut off is finished by running it again. Serials, ledger and trusted keys stay.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Iterable, List, Optional, Sequence, Tuple

from sealift_manifests.errors import InUseError

from sealift_installer import durable
from sealift_installer.beside import Beside
from sealift_installer.containers import Container, remove_container
from sealift_installer.history import forget
from sealift_installer.host import Host
from sealift_installer.images import remove_image, sweep_proofs
from sealift_installer.layout import Layout
from sealift_installer.releases import Release
from sealift_installer.things import (
    Things,
    bytes_freed,
    not_ours,
    things_of,
    uses,
)
from sealift_installer.volumes import remove_volume, volume_fault


@dataclass(frozen=True)
class Removed:
    """What was taken away; `freed` is in bytes of weights, `data` volumes of data."""

    releases: Tuple[str, ...]
    images: Tuple[str, ...]
    volumes: Tuple[str, ...]
    freed: int
    data: Tuple[str, ...] = ()


def hindrances(
    layout: Layout, release: Release, going: Things, found: Beside
) -> List[str]:
    """Return why a release cannot go alone: what uses it, what is not ours in it.

    `going` is what would go. Containers of its own stack that do not run go too.
    """
    strangers = []
    reasons = []
    for container in found.containers:
        if not found.is_own(container, release):
            strangers.append(container)
        elif container.is_up:
            reasons.append(f"container {container.name} runs its stack")
    reasons += users(layout, release, going, strangers)
    for tree, model in _part(layout, release, going).trees.items():
        reasons += [f"{path} is not Sealift's" for path in not_ours(tree, model)]
    return reasons


def users(
    layout: Layout, release: Release, going: Things, found: Iterable[Container]
) -> List[str]:
    """Return which containers, running or not, use what would go with a release."""
    mine, reasons = _part(layout, release, going), []
    for container in found:
        use = next(uses(container, mine, layout), None)
        if use:
            state = "running" if container.is_up else "stopped"
            reasons.append(f"container {container.name} ({state}) {use}")
    return reasons


def _part(layout: Layout, release: Release, going: Things) -> Things:
    own = things_of(layout, [release])
    return own.without(own.without(going))


def require_unused(release: Release, reasons: Sequence[str]) -> None:
    """Raise InUseError when there are reasons why it cannot go."""
    if reasons:
        raise InUseError(
            f"{release.title} ({release.name}) cannot be removed: "
            + "; ".join(reasons),
            hint="Stop and remove these containers (`docker stop`, `docker rm`), and "
            "move such files elsewhere; then run this again.",
        )


def remove_releases(
    host: Host,
    gone: Sequence[Release],
    kept: Iterable[Release],
    found: Optional[Beside],
    event: str,
) -> Removed:
    """Take releases away that nobody uses any more; log each as this event.

    `found` are the engine's containers; None where there is no engine. Those of the
    releases' own stacks go first.
    """
    layout, going = host.layout, things_of(host.layout, gone)
    going = going.without(things_of(layout, kept))
    for bundle in sorted({release.manifest.name for release in gone}):
        forget(layout, bundle, {r.name for r in gone if r.manifest.name == bundle})
    images: Tuple[str, ...] = ()
    volumes: Tuple[str, ...] = ()
    if found is not None:
        for container in found.containers:
            if any(found.is_own(container, release) for release in gone):
                remove_container(host.engine, container)
        images, volumes = _leave_engine(host, going)
    freed = bytes_freed((*going.trees, *going.contents))
    for tree in going.trees:
        durable.discard_directory(tree)
        durable.remove_empty_parents(os.path.dirname(tree), layout.state)
    for path in going.contents:
        durable.remove_file(path)
        durable.remove_empty_parents(os.path.dirname(path), layout.state)
    for release in gone:
        host.log(event, release.manifest, root=release.record.root)
        durable.discard_directory(release.path)
        durable.remove_empty_parents(os.path.dirname(release.path), layout.state)
    return Removed(tuple(r.manifest.version for r in gone), images, volumes, freed)


def _leave_engine(host: Host, going: Things) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
    """Take images and volumes away; return their names."""
    sweep_proofs(host.engine)
    volumes = [
        name
        for name, model in going.volumes.items()
        # One of that name which leads elsewhere is somebody else's.
        if volume_fault(host.engine, name, host.layout.tree(model)) is None
    ]
    for name in volumes:
        remove_volume(host.engine, name)
    images = [
        reference
        for reference, image in going.images.items()
        if remove_image(host.engine, image)
    ]
    return tuple(images), tuple(volumes)
