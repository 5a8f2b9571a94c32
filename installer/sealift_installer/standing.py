"""The releases of one bundle in the order in which they were used, and how to name one.

Pure but for `standing_of`, which reads them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Iterable, Optional, Tuple

from sealift_manifests.errors import NotInstalledError, SealiftError, UsageError

from sealift_installer.history import History, read_history
from sealift_installer.layout import Layout
from sealift_installer.releases import (
    Release,
    current_path,
    read_release,
    release_names,
)

_LEAST_ROOT = 6
"""Hex digits of a root that are enough to name a release."""


@dataclass(frozen=True)
class Standing:
    """A bundle's releases: first the one in use, then those before it, then others.

    `previous` was in use before `current`, `started` is the last that came up. Each is
    None where nothing is known of it, or where it is not installed any more. `in_use`
    names the directory of the current one, readable or not. `unreadable` are those
    that can no longer be read, by name, with the reason.
    """

    bundle: str
    releases: Tuple[Release, ...]
    current: Optional[Release]
    previous: Optional[Release]
    started: Optional[Release]
    in_use: Optional[str] = None
    unreadable: Tuple[Tuple[str, str], ...] = ()

    def find(self, wanted: str) -> Release:
        """Return the release of this version, of this root, or of this directory name.

        Raises NotInstalledError for none, UsageError when several are meant.
        """
        found = [one for one in self.releases if one.manifest.version == wanted]
        found = found or [one for one in self.releases if _is_named(one, wanted)]
        known = ", ".join(one.name for one in self.releases) or "nothing"
        if not found:
            raise NotInstalledError(
                f"{self.bundle} {wanted} is not installed ({known} is)",
                hint="Name one that `releases` lists, by its version or its root.",
            )
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} releases of {self.bundle} are {wanted}: "
                + ", ".join(one.name for one in found),
                hint="Name the one you mean by its root, which stands last in its "
                "name.",
            )
        return found[0]


def _is_named(release: Release, wanted: str) -> bool:
    if wanted == release.name:
        return True
    digits = wanted[len("sha256:") :] if wanted.startswith("sha256:") else wanted
    return len(digits) >= _LEAST_ROOT and release.record.root.hex.startswith(digits)


def stand(
    bundle: str, releases: Iterable[Release], current: Optional[str], history: History
) -> Standing:
    """Put releases into order: `current` is the name of the one in use."""
    found = {release.name: release for release in releases}
    before = [name for name in history.used if name in found and name != current]
    used = {*before, current}
    others = [release for name, release in found.items() if name not in used]
    # Never in use, or before anybody wrote that down: the latest install comes first.
    others.sort(key=lambda release: (release.record.installed, release.name))
    ordered = [found[name] for name in (current, *before) if name in found]
    return Standing(
        bundle=bundle,
        releases=(*ordered, *reversed(others)),
        current=found.get(current or ""),
        previous=found[before[0]] if before else None,
        started=found.get(history.started or ""),
    )


def standing_of(layout: Layout, bundle: str) -> Standing:
    """Read the releases of a bundle and what was used when.

    Raises ManifestError for a history that can no longer be read.
    """
    found, unreadable = [], []
    folder = os.path.realpath(os.path.join(layout.releases, bundle))
    for name in release_names(layout, bundle):
        try:
            found.append(read_release(os.path.join(folder, name)))
        except SealiftError as error:
            unreadable.append((name, error.message))
    current = os.path.basename(current_path(layout, bundle) or "") or None
    standing = stand(bundle, found, current, read_history(layout, bundle))
    return replace(standing, in_use=current, unreadable=tuple(unreadable))
