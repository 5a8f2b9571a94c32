"""Leaves out the services of profiles that the spec does not take.

What only they use goes with them, and nobody may depend on one of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sealift_bundler.compose_check import read_volume
from sealift_bundler.strictyaml import Fault

_SHARED = ("configs", "networks", "secrets", "volumes")


@dataclass(frozen=True)
class Chosen:
    """The stack that is taken, the services that are not, and what is wrong."""

    value: Any
    left_out: Mapping[str, Mapping[str, Any]]
    faults: tuple[Fault, ...]


def choose(value: Any, profiles: Collection[str]) -> Chosen:
    """Return a stack with the services that have no profile or one of these."""
    services = value.get("services") if isinstance(value, Mapping) else None
    if not isinstance(services, Mapping):
        return Chosen(value, {}, ())
    of_each = {name: _profiles(held) for name, held in services.items()}
    out = {
        name: services[name]
        for name, own in of_each.items()
        if own and not own & set(profiles)
    }
    kept = {
        name: _without_profiles(held, out)
        for name, held in services.items()
        if name not in out
    }
    faults = (
        *_unknown(profiles, sorted(set().union(*of_each.values()))),
        *_missed(kept, out, of_each),
    )
    chosen = {**value, "services": kept}
    for section in _SHARED:
        if isinstance(value.get(section), Mapping):
            idle = _used(section, out.values()) - _used(section, kept.values())
            chosen[section] = {
                name: held for name, held in value[section].items() if name not in idle
            }
    return Chosen(chosen, out, faults)


def _profiles(service: Any) -> set[str]:
    written = service.get("profiles") if isinstance(service, Mapping) else None
    return set(map(str, written)) if isinstance(written, list) else set()


def _without_profiles(service: Any, out: Collection[str]) -> Any:
    """Return a service without its profiles, and what it can do without."""
    if not isinstance(service, Mapping):
        return service
    kept = {key: held for key, held in service.items() if key != "profiles"}
    needed = kept.get("depends_on")
    if isinstance(needed, Mapping):
        kept["depends_on"] = {
            other: held
            for other, held in needed.items()
            if other not in out or _is_required(held)
        }
        if not kept["depends_on"]:
            del kept["depends_on"]
    return kept


def _is_required(held: Any) -> bool:
    required = held.get("required", "true") if isinstance(held, Mapping) else "true"
    return str(required).lower() != "false"


def _unknown(profiles: Collection[str], known: Collection[str]) -> Iterator[Fault]:
    for profile in profiles:
        if profile not in known:
            near = difflib.get_close_matches(profile, known, 1)
            guess = f"did you mean {near[0]}? " if near else ""
            text = f"no service has the profile {profile!r} of the spec; {guess}there: "
            yield Fault(("services",), text + (", ".join(known) or "none"))


def _missed(
    kept: Mapping[str, Any],
    out: Collection[str],
    of_each: Mapping[str, Collection[str]],
) -> Iterator[Fault]:
    for name, service in kept.items():
        needed = service.get("depends_on") if isinstance(service, Mapping) else None
        for other in needed if isinstance(needed, list | Mapping) else ():
            if other in out:
                choice = ", ".join(sorted(of_each[other]))
                yield Fault(
                    ("services", name, "depends_on"),
                    f"{other!r} is left out, since the spec takes none of its "
                    f"profiles ({choice}); name one under `profiles:` in the spec, or "
                    "write `required: false` here",
                )


def _used(section: str, services: Collection[Any]) -> set[str]:
    found: set[str] = set()
    for service in services:
        written = service.get(section) if isinstance(service, Mapping) else None
        for each in written if isinstance(written, list | Mapping) else ():
            if section == "volumes":
                volume = read_volume(each)
                found.add(volume.source if volume else "")
            else:
                source = each.get("source") if isinstance(each, Mapping) else each
                found.add(str(source))
    return found
