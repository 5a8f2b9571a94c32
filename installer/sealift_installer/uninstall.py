"""Remove a bundle from the host, or one of its releases that is not in use."""

from __future__ import annotations

from dataclasses import replace

from sealift_manifests.errors import InUseError, NotInstalledError
from sealift_manifests.names import project_name

from sealift_installer import durable, releases
from sealift_installer.beside import Beside, beside_needed
from sealift_installer.compose import Compose
from sealift_installer.data_removal import data_of, remove_data, require_no_users
from sealift_installer.host import Host
from sealift_installer.ledger import SWEEP, TIDY, unfinished_installs
from sealift_installer.leftovers import Leftovers, find_leftovers, sweep
from sealift_installer.releases import Release
from sealift_installer.removal import (
    Removed,
    hindrances,
    remove_releases,
    require_unused,
    users,
)
from sealift_installer.service_state import is_there
from sealift_installer.stack import project_to_stop
from sealift_installer.standing import standing_of
from sealift_installer.things import things_of


def uninstall(host: Host, bundle: str, *, with_data: bool = False) -> Removed:
    """Take the bundle's containers, volumes, images, trees and weights away.

    Volumes of data stay, but `with_data`. Raises InUseError, before anything is
    touched, when containers of others use what would go.
    """
    with host.locked():
        if with_data and bundle not in releases.bundles_with_releases(host.layout):
            removed = _remove_left_data(host, bundle)
            if not removed.data:
                _require_installed(host, bundle)
            return removed
        _require_installed(host, bundle)
        every = releases.all_releases(host.layout)
        gone = [release for release in every if release.manifest.name == bundle]
        kept = [release for release in every if release.manifest.name != bundle]
        needed = things_of(host.layout, kept)
        going = things_of(host.layout, gone).without(needed)
        found = beside_needed(host, [standing_of(host.layout, bundle)])
        all_of_them = found.containers if found else ()
        others = [c for c in all_of_them if c.project != project_name(bundle)]
        for release in gone:
            require_unused(release, users(host.layout, release, going, others))
        if with_data:
            require_no_users(host, bundle)
        if found is not None:
            _stop(host, gone[-1])
        durable.remove_file(host.layout.current(bundle))
        removed = remove_releases(host, gone, kept, found, "uninstall")
        if with_data:
            removed = replace(removed, data=remove_data(host, bundle))
        swept = _sweep(host, find_leftovers(host.layout, needed, others))
        return replace(removed, freed=removed.freed + swept)


def uninstall_data(host: Host, bundle: str) -> Removed:
    """Remove the data that an uninstall before this one has left, if it has left any.

    Raises InUseError, before anything is touched, while a container uses it.
    """
    with host.locked():
        return _remove_left_data(host, bundle)


def _remove_left_data(host: Host, bundle: str) -> Removed:
    if not data_of(host, bundle):
        return Removed((), (), (), 0)
    require_no_users(host, bundle)
    return Removed((), (), (), 0, remove_data(host, bundle))


def uninstall_release(host: Host, bundle: str, wanted: str) -> Removed:
    """Take one release away, named by its version or its root.

    Raises InUseError for the release in use, and for one that containers use.
    """
    with host.locked():
        _require_installed(host, bundle)
        standing = standing_of(host.layout, bundle)
        release = standing.find(wanted)
        if release is standing.current:
            raise InUseError(
                f"{release.title} ({release.name}) is the release in use",
                hint="Roll back or install another one first; or uninstall the whole "
                "bundle, without --release.",
            )
        every = releases.all_releases(host.layout)
        kept = [each for each in every if each.path != release.path]
        going = things_of(host.layout, [release])
        going = going.without(things_of(host.layout, kept))
        found = beside_needed(host, [standing])
        reasons = hindrances(host.layout, release, going, found or Beside())
        require_unused(release, reasons)
        return remove_releases(host, [release], kept, found, "uninstall-release")


def _sweep(host: Host, left: Leftovers) -> int:
    """Remove what is left over, but not what installs of others go on from."""
    begun = unfinished_installs(host.layout)
    if begun and left.work:
        names = "; ".join(map(str, begun))
        host.report.step(f"stays, for it is not finished: the install of {names}")
        left = left.without_work()
    return sweep(host, left, TIDY if begun else SWEEP) if left.paths else 0


def _require_installed(host: Host, bundle: str) -> None:
    if bundle not in releases.bundles_with_releases(host.layout):
        raise NotInstalledError(
            f"{bundle} is not installed below {host.layout.state}",
            hint="See `status` for what is installed, or give its --state-dir.",
        )


def _stop(host: Host, release: Release) -> None:
    name = project_name(release.manifest.name)
    if release.manifest.stack and is_there(host.engine, name):
        Compose.find(host.engine).down(project_to_stop(host, release))
