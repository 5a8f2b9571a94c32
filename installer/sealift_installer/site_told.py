"""What `status` says of a site: what is served with, and what has changed since."""

from __future__ import annotations

from typing import Any, Dict, Iterator

from sealift_manifests.errors import SettingsError
from sealift_manifests.model import Manifest

from sealift_installer import ledger
from sealift_installer.host import Host
from sealift_installer.site import site_of
from sealift_installer.site_served import SERVING, settings_in


def site_facts(host: Host, manifest: Manifest) -> Dict[str, Any]:
    """Return the settings of the last start, those that are others now, and faults."""
    stack = manifest.stack
    if stack is None or not stack.leaves_open:
        return {}
    served = settings_in(ledger.last_entry(host.layout, manifest.name, SERVING))
    try:
        site = site_of(host.layout, manifest)
        now, faults = site.values, site.lines()
    except SettingsError as error:
        now, faults = dict(served), [error.message]
    changed = {name: now.get(name) for name in now if now.get(name) != served.get(name)}
    return {
        "served_with": served,
        "settings_changed": changed if served else {},
        "settings_open": faults,
    }


def site_lines(facts: Dict[str, Any]) -> Iterator[str]:
    """Yield the same for people."""
    for name, value in facts.get("served_with", {}).items():
        yield f"  setting     {name} = {value}"
    for name, value in facts.get("settings_changed", {}).items():
        yield f"  changed     {name} = {value}, once `start` applies it"
    for line in facts.get("settings_open", []):
        yield f"  to be set   {line}"
