"""What is installed, for people: each release, its part, and what it holds alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

from sealift_manifests.errors import EngineError

from sealift_installer.beside import Beside, beside
from sealift_installer.host import Host
from sealift_installer.releases import Release, bundles_with_releases
from sealift_installer.standing import Standing, standing_of
from sealift_installer.things import bytes_freed, things_of


@dataclass(frozen=True)
class Overview:
    """A release as it stands.

    `is_running` is None where no engine tells. The bytes are those that would be free
    without it: of weights, and of image layers that no other release of ours has.
    """

    release: Release
    is_current: bool
    is_previous: bool
    is_started: bool
    is_running: Optional[bool]
    weight_bytes: int
    image_bytes: int


def overviews(host: Host, standing: Standing) -> Tuple[Overview, ...]:
    """Return how the releases of a bundle stand, in the order of their use."""
    others = [
        release
        for name in bundles_with_releases(host.layout)
        if name != standing.bundle
        for release in standing_of(host.layout, name).releases
    ]
    found = _beside(host, standing)
    return tuple(
        _overview(host, standing, release, others, found)
        for release in standing.releases
    )


def running_release(host: Host, standing: Standing) -> Optional[Release]:
    """Return the release whose containers run; None for none, or without an engine."""
    found = _beside(host, standing) or Beside()
    return next((one for one in standing.releases if found.runs(one)), None)


def running_instead(host: Host, release: Release) -> Optional[Release]:
    """Return the release that runs while `release` is in use; None if none does."""
    running = running_release(host, standing_of(host.layout, release.manifest.name))
    return running if running and running.name != release.name else None


def _overview(
    host: Host,
    standing: Standing,
    release: Release,
    others: List[Release],
    found: Optional[Beside],
) -> Overview:
    siblings = [each for each in standing.releases if each is not release]
    needed = things_of(host.layout, (*siblings, *others))
    alone = things_of(host.layout, [release]).without(needed)
    return Overview(
        release,
        is_current=release is standing.current,
        is_previous=release is standing.previous,
        is_started=release is standing.started,
        is_running=found.runs(release) if found else None,
        weight_bytes=bytes_freed((*alone.trees, *alone.contents)),
        image_bytes=alone.image_bytes(needed),
    )


def _beside(host: Host, standing: Standing) -> Optional[Beside]:
    try:
        return beside(host.engine, [standing])
    except EngineError:
        return None
