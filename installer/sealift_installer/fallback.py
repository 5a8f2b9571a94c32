"""Return to the release that served before, when a new one does not come up.

A release is new as long as it never came up. One that did, and fails now, has a fault
of the host: another release would fail as well, or hide it.
"""

from __future__ import annotations

from typing import Optional

from sealift_manifests.errors import FellBackError, SealiftError, StartError
from sealift_manifests.trust import Trust

from sealift_installer.audit import audit
from sealift_installer.history import note_started
from sealift_installer.host import Host
from sealift_installer.overview import running_release
from sealift_installer.releases import Release, switch
from sealift_installer.site_served import Return, to_return
from sealift_installer.stack import Starter
from sealift_installer.standing import standing_of


def find_served(host: Host, bundle: str) -> Optional[Release]:
    """Return the release to go back to when the one in use does not come up.

    The last that came up counts, also when a reboot has ended its containers. Where
    nobody wrote that down, it is the one whose containers run. None when that is the
    one in use itself. To be asked before anything is started.
    """
    try:
        standing = standing_of(host.layout, bundle)
    except SealiftError as error:  # No reason to start nothing.
        host.report.step(f"no release to go back to is known: {error.message}")
        return None
    served = standing.started or running_release(host, standing)
    return None if served is standing.current else served


def fall_back(
    starter: Starter, trust: Trust, failed: Release, before: Release, error: StartError
) -> StartError:
    """Bring the release back that served before; return what is to be raised then."""
    told = f"{failed.title} did not come up: {error.message}\n"
    try:
        back = _bring_back(starter, trust, before)
    except SealiftError as second:
        starter.host.log("fallback-failed", before.manifest)
        return StartError(
            f"{told}{before.title}, which served before, could not be brought back: "
            f"{second.message}",
            hint=second.hint,
            facts={**error.facts},
        )
    return FellBackError(
        f"{told}{before.title}, which served before, is in use again and serves{back}",
        hint=f"The containers of {failed.manifest.version} are gone. To look at them, "
        f"`rollback {failed.manifest.name} --to {failed.name}`, then `start "
        "--no-fallback`." + _about_settings(back, failed.manifest.name),
        facts={**error.facts, "serving": before.name},
    )


def _about_settings(back: Return, bundle: str) -> str:
    if not back.unsuited:
        return ""
    return (
        f" The next `start` takes the site file again: give with `settings {bundle} "
        "--set NAME=VALUE` what the release in use takes."
    )


def _bring_back(starter: Starter, trust: Trust, before: Release) -> Return:
    """Put a release in use again, and start it; return what it was started with.

    Its weights are not hashed anew: they were when it came up, and hours without
    service would follow. All else is looked at before anything is changed.
    """
    host, bundle = starter.host, before.manifest.name
    host.report.step(f"going back to {before.title}, which served before")
    audit(host, before, trust, deep=False, measure=False).require_clean()
    back = to_return(host.layout, before.manifest)
    switch(host.layout, bundle, before.path, remember=False)
    starter.bring_up(before, back.values)
    note_started(host.layout, bundle, before.name)
    host.log("fallback", before.manifest, **back.facts())
    return back
