"""What a release was last served with, as the ledger has it, and where that counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Tuple

from sealift_manifests.errors import SealiftError, SettingsError
from sealift_manifests.model import Manifest
from sealift_manifests.site_values import choose, value_to_end, values_of

from sealift_installer import ledger
from sealift_installer.layout import Layout
from sealift_installer.site import read_file, site_of, variables
from sealift_installer.site_secrets import broken_secrets, missing_secrets

SERVING = ("start", "fallback")
"""The ledger's words for a release that began to serve."""


@dataclass(frozen=True)
class Return:
    """The values that a release is brought back with.

    `unsuited`: what is wrong with the site file for it, where its own last values are
    taken instead.
    """

    values: Mapping[str, str]
    unsuited: Tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it, for people; nothing where the site file does."""
        if not self.unsuited:
            return ""
        faults = "\n  ".join(self.unsuited)
        return (
            f", with its own last settings: the site file does not suit it\n  {faults}"
        )

    def facts(self) -> Dict[str, Any]:
        """Return what the ledger says of it."""
        unsuited = {"site_unsuited": list(self.unsuited)} if self.unsuited else {}
        return {**served_with(self.values), **unsuited}


def served_with(values: Mapping[str, str]) -> Dict[str, Any]:
    """Return what the ledger says of a start: the settings, or nothing for none."""
    return {"settings": dict(values)} if values else {}


def settings_in(entry: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the settings that a line of the ledger has; {} for none."""
    found = entry.get("settings")
    return found if isinstance(found, dict) else {}


def last_served(layout: Layout, manifest: Manifest) -> Dict[str, str]:
    """Return the settings that this very release was last served with; {} for none."""
    values = settings_in(ledger.last_of_release(layout, manifest, *SERVING))
    return {name: text for name, text in values.items() if isinstance(text, str)}


def to_return(layout: Layout, manifest: Manifest) -> Return:
    """Return the values to bring a release back with that served before.

    They are the site file's. Where that was changed for another release and does not
    suit this one, they are its own last ones. Raises SettingsError where those will
    not do either.
    """
    try:
        site = site_of(layout, manifest)
        site.require()
        return Return(site.values)
    except SettingsError as error:
        refusal = error
    settings = manifest.stack.settings if manifest.stack else ()
    secrets = manifest.stack.secrets if manifest.stack else ()
    chosen, wrong = choose(settings, last_served(layout, manifest))
    missing = missing_secrets(layout, manifest.name, secrets)
    is_whole = not wrong and all(one.given for one in chosen)
    asked = any(secret.generate is None for secret in missing)
    if not is_whole or asked or broken_secrets(layout, manifest.name, secrets):
        raise refusal
    faults = refusal.facts.get("settings", [refusal.message])
    return Return(values_of(chosen), tuple(map(str, faults)))


def to_stop(layout: Layout, manifest: Manifest) -> Dict[str, str]:
    """Return variables with which Compose can read the file of what is to end.

    Whatever is wrong with the site must not keep a stack running.
    """
    settings = manifest.stack.settings if manifest.stack else ()
    try:
        given = read_file(layout, manifest.name).values if settings else {}
    except SealiftError:
        given = {}
    served = last_served(layout, manifest) if settings else {}
    values = {
        each.name: value_to_end(each, given.get(each.name), served.get(each.name))
        for each in settings
    }
    return variables(layout, manifest, values)
