"""Go back to a release that is still installed: always allowed, whatever its serial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from sealift_manifests.errors import DriftError, NotInstalledError
from sealift_manifests.trust import Trust

from sealift_installer.audit import audit
from sealift_installer.host import Host
from sealift_installer.releases import Release, choose_name, switch
from sealift_installer.standing import Standing, standing_of


@dataclass(frozen=True)
class RolledBack:
    """The release that is in use now, and the name of the one before.

    `left` is None when it was in use already.
    """

    release: Release
    left: Optional[str]


def rollback(
    host: Host, bundle: Optional[str], wanted: Optional[str], trust: Trust
) -> RolledBack:
    """Put the release before, or the `wanted` one, in use. Starts nothing.

    Raises DriftError when something of it is missing, and changes nothing then. Its
    weights are not hashed here: `start` does that.
    """
    with host.locked():
        standing = standing_of(host.layout, choose_name(host.layout, bundle))
        target = _previous(standing) if wanted is None else standing.find(wanted)
        if target is standing.current:
            return RolledBack(target, None)
        _require_whole(host, target, trust)
        switch(host.layout, standing.bundle, target.path)
        root = target.record.root
        host.log("rollback", target.manifest, root=root, left=standing.in_use)
        return RolledBack(target, standing.in_use)


def _previous(standing: Standing) -> Release:
    if standing.previous is None:
        raise NotInstalledError(
            f"no release of {standing.bundle} that was in use before is installed",
            hint="`releases` lists what is installed; name one with --to VERSION.",
        )
    return standing.previous


def _require_whole(host: Host, release: Release, trust: Trust) -> None:
    result = audit(host, release, trust, deep=False, measure=False)
    if result.drift:
        raise DriftError(
            f"{release.title} cannot be gone back to, it is not whole:\n"
            + "\n".join(map(str, result.drift)),
            hint="Install its bundle again, with --allow-downgrade REASON: what is "
            "still here is not copied again. Or name another release with --to.",
            drift=result.drift,
        )
