"""Take away releases that are not needed any more, and what cut-off runs left.

Kept are the release in use, those used before it, the last one that came up, and
every release that a container uses or that holds files of somebody else. So is what
an unfinished install goes on from, unless it is given up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, Optional, Sequence, Tuple

from sealift_manifests.errors import BusyError, NotInstalledError

from sealift_installer import releases
from sealift_installer.beside import Beside, beside_needed
from sealift_installer.host import Host
from sealift_installer.ledger import SWEEP, TIDY, Begun, unfinished_installs
from sealift_installer.leftovers import Foreign, Leftovers, find_leftovers, sweep
from sealift_installer.releases import Release
from sealift_installer.removal import (
    Removed,
    hindrances,
    remove_releases,
)
from sealift_installer.standing import Standing, standing_of
from sealift_installer.things import Things, bytes_freed, things_of
from sealift_installer.volumes import made_volumes, remove_volume

KEPT_BEFORE = 1
"""Releases that are kept beside the one in use, unless told otherwise."""


@dataclass(frozen=True)
class PrunePlan:
    """What would go, what stays and why, and the bytes that would be free then.

    `image_bytes` are those of unpacked layers, `stray` names of volumes that lead to
    trees no release needs. `begun` are installs that were not finished, `work` what
    they have so far, in files and trees: it stays, unless they are given up.
    """

    gone: Tuple[Release, ...]
    kept: Tuple[Tuple[Release, str], ...]
    leftovers: Leftovers
    stray: Tuple[str, ...]
    begun: Tuple[Begun, ...]
    work: Tuple[str, ...]
    work_bytes: int
    gives_up: bool
    weight_bytes: int
    leftover_bytes: int
    image_bytes: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.gone or self.leftovers.paths or self.stray or self.forgotten)

    @property
    def forgotten(self) -> Tuple[Begun, ...]:
        """The installs that would start anew."""
        return self.begun if self.gives_up else ()


@dataclass(frozen=True)
class PruneOptions:
    """Of which bundle, None for all; how many releases to keep before the one in use.

    `unfinished` gives up installs that were not finished.
    """

    bundle: Optional[str] = None
    keep: int = KEPT_BEFORE
    unfinished: bool = False


def plan_prune(host: Host, options: PruneOptions) -> PrunePlan:
    """Find out what may go: of one bundle, or of all. Leftovers are nobody's."""
    with host.locked():
        return _plan(host, options)[0]


def prune(host: Host, options: PruneOptions, agreed: PrunePlan) -> Removed:
    """Carry out a plan that was agreed to, if things are still as they were then."""
    with host.locked():
        plan, found = _plan(host, options)
        if plan != agreed:
            raise BusyError(
                "another command has changed what there is to prune meanwhile",
                hint="Nothing was removed. Run this again.",
            )
        going = {release.path for release in plan.gone}
        every = releases.all_releases(host.layout)
        kept = [release for release in every if release.path not in going]
        removed = remove_releases(host, plan.gone, kept, found, "prune")
        for name in plan.stray:
            remove_volume(host.engine, name)
        swept = 0
        if plan.leftovers.paths or plan.forgotten:
            event = TIDY if plan.begun and not plan.gives_up else SWEEP
            swept = sweep(host, plan.leftovers, event)
        volumes = (*removed.volumes, *plan.stray)
        return Removed(removed.releases, removed.images, volumes, removed.freed + swept)


def reason_to_keep(standing: Standing, release: Release, keep: int) -> Optional[str]:
    """Return why a release stays by its part alone, or None when it may go."""
    if standing.current is None:
        return "none is in use: run install or uninstall of this bundle to its end"
    before = standing.releases[1 : 1 + keep]
    if release is standing.current:
        return "in use"
    if release is standing.previous and release in before:
        return "in use before"
    if release is standing.started:
        return "the last one that came up"
    return "kept beside the one in use" if release in before else None


def _plan(host: Host, options: PruneOptions) -> Tuple[PrunePlan, Optional[Beside]]:
    layout = host.layout
    every = releases.all_releases(layout)
    standings = _standings(host, options.bundle)
    beside = beside_needed(host, standings)
    found = beside or Beside()
    gone, kept = _choose(host, every, standings, options, found)
    going, needed = _going(host, every, gone), things_of(layout, every)
    stray, used = _stray_volumes(host, needed, beside)
    leftovers = find_leftovers(layout, needed, found.containers)
    leftovers = replace(leftovers, foreign=(*leftovers.foreign, *used))
    begun = unfinished_installs(layout)
    work: Tuple[str, ...] = ()
    if begun and not options.unfinished:
        # The trees of stray volumes may be part of it.
        work, leftovers, stray = leftovers.work, leftovers.without_work(), ()
    paths = (*going.trees, *going.contents, *leftovers.paths)
    return PrunePlan(
        gone=tuple(gone),
        kept=tuple(kept),
        leftovers=leftovers,
        stray=stray,
        begun=begun,
        work=work,
        work_bytes=bytes_freed(work),
        gives_up=options.unfinished,
        weight_bytes=bytes_freed(paths),
        leftover_bytes=bytes_freed(leftovers.paths),
        image_bytes=going.image_bytes(needed.without(going)),
    ), beside


def _choose(
    host: Host,
    every: Sequence[Release],
    standings: Sequence[Standing],
    options: PruneOptions,
    found: Beside,
) -> Tuple[List[Release], List[Tuple[Release, str]]]:
    """Return the releases that go, and those that stay with the reason."""
    asked = [
        (release, reason_to_keep(standing, release, options.keep))
        for standing in standings
        if options.bundle in (None, standing.bundle)
        for release in standing.releases
    ]
    candidates = [release for release, why in asked if why is None]
    kept = [(release, why) for release, why in asked if why is not None]
    going = _going(host, every, candidates)
    gone = []
    for release in candidates:
        reasons = hindrances(host.layout, release, going, found)
        if reasons:
            kept.append((release, "; ".join(reasons)))
        else:
            gone.append(release)
    return gone, kept


def _standings(host: Host, bundle: Optional[str]) -> Tuple[Standing, ...]:
    """Return how all bundles stand; raise NotInstalledError unless `bundle` is one."""
    names = releases.bundles_with_releases(host.layout)
    if bundle is not None and bundle not in names:
        raise NotInstalledError(
            f"{bundle} is not installed below {host.layout.state}",
            hint="See `releases` for what is installed, or give its --state-dir.",
        )
    return tuple(standing_of(host.layout, name) for name in names)


def _going(host: Host, every: Sequence[Release], gone: Sequence[Release]) -> Things:
    paths = {release.path for release in gone}
    kept = [release for release in every if release.path not in paths]
    return things_of(host.layout, gone).without(things_of(host.layout, kept))


def _stray_volumes(
    host: Host, needed: Things, found: Optional[Beside]
) -> Tuple[Tuple[str, ...], Tuple[Foreign, ...]]:
    """Return the volumes that no release needs, and those of them that are used."""
    if found is None:
        return (), ()
    made = made_volumes(host.engine, host.layout.volumes)
    stray = [name for name in made if name not in needed.volumes]
    users = {name: c.name for c in found.containers for name in c.volumes}
    used = [
        Foreign(f"volume {name}", f"container {users[name]} has it mounted")
        for name in stray
        if name in users
    ]
    return tuple(name for name in stray if name not in users), tuple(used)
