"""What has changed on a host since its survey, and which survey a bundle was made for.

Compares what decides whether a bundle runs. What changes by the minute (the clock,
free memory, the kernel log) is left out.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from sealift_manifests.digests import Digest
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.facts import Fault, HostFacts

SURVEYS_NOTE, ACCEPTED_NOTE = "surveys", "accepted"
"""In the manifest's own `facts`: digests of surveys, and slugs that were accepted."""

_PASSING = {
    "taken",
    "kernel_log",
    "faults",
    "driver.persistenced",
    "gpus.memory_free",
    "gpus.ecc_uncorrected",
    "gpus.fabric_state",
    "gpus.fabric_status",
    "engine.started",
    "toolkit.changed_after_engine",
    "machine.memory_available",
    "machine.clock",
    "machine.clock_synced",
    "machine.file_systems.free",
    "machine.file_systems.free_inodes",
    "machine.file_systems.device",
}
_KEYS = ("index", "bus_id", "path", "port", "uuid", "profile")


@dataclass(frozen=True)
class Change:
    """One fact that is another now. None stands for: not known, or not there."""

    fact: str
    old: Optional[str]
    new: Optional[str]


def diff_surveys(old: HostFacts, new: HostFacts) -> Tuple[Change, ...]:
    """Return what differs, by the name of the fact: "driver.loaded", "gpus[0].name".

    What the old survey left out (a redacted name, a probe that could not run) is no
    change; what it had and is gone now is one.
    """
    return tuple(_changes("", "", old, new))


def survey_facts(surveys: Iterable[Digest], accepted: Iterable[str]) -> Dict[str, Any]:
    """Return what a manifest's `facts` say of the surveys a bundle was made for."""
    facts: Dict[str, Any] = {}
    digests, slugs = sorted(set(surveys)), sorted(set(accepted))
    if digests:
        facts[SURVEYS_NOTE] = [str(digest) for digest in digests]
    if slugs:
        facts[ACCEPTED_NOTE] = slugs
    return facts


def surveys_of(manifest: Manifest) -> Tuple[Digest, ...]:
    """Return the digests of the surveys a bundle was made for, () for none."""
    noted = manifest.facts.get(SURVEYS_NOTE)
    found: List[Digest] = []
    for text in noted if isinstance(noted, list) else ():
        try:
            found.append(Digest(text))
        except (TypeError, ValueError):
            continue
    return tuple(found)


def survey_file(digest: Digest) -> str:
    """Return the name under which a bundle carries a survey."""
    return f"survey-{digest.short}.json"


def nearest_survey(
    surveys: Sequence[HostFacts], host: HostFacts
) -> Optional[Tuple[HostFacts, Tuple[Change, ...]]]:
    """Return the survey that is most likely of this host, and what has changed.

    One with the host's own name, where names were not left out; else the one that
    differs least. None without surveys.
    """
    named = [each for each in surveys if each.name and each.name == host.name]
    compared = [(each, diff_surveys(each, host)) for each in named or surveys]
    return min(compared, key=lambda pair: len(pair[1])) if compared else None


def _changes(path: str, kind: str, old: Any, new: Any) -> Iterator[Change]:
    if kind in _PASSING or old == new:
        return
    # Of a fault, None is an answer: there was none.
    if old is None and not isinstance(new, Fault):
        return
    if dataclasses.is_dataclass(old) and dataclasses.is_dataclass(new):
        for field in dataclasses.fields(old):
            name = field.name
            inner = f"{path}.{name}" if path else name
            inner_kind = f"{kind}.{name}" if kind else name
            before, now = getattr(old, name), getattr(new, name)
            yield from _changes(inner, inner_kind, before, now)
    elif _is_list_of_records(old) or _is_list_of_records(new):
        yield from _changes_of_list(path, kind, old, new or ())
    else:
        yield Change(path, _text(old), _text(new))


def _is_list_of_records(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(dataclasses.is_dataclass(each) for each in value)
    )


def _changes_of_list(
    path: str, kind: str, old: Sequence[Any], new: Sequence[Any]
) -> Iterator[Change]:
    before, now = _by_key(old), _by_key(new)
    for key in [*before, *(key for key in now if key not in before)]:
        place = f"{path}[{key}]"
        if key not in before:
            yield Change(place, None, _text(now[key]))
        elif key not in now:
            yield Change(place, _text(before[key]), None)
        else:
            yield from _changes(place, kind, before[key], now[key])


def _by_key(records: Sequence[Any]) -> Dict[str, Any]:
    """Return records by what tells them apart; by their place where nothing does."""
    found: Dict[str, Any] = {}
    for number, record in enumerate(records):
        named = (getattr(record, name, None) for name in _KEYS)
        key = next((str(each) for each in named if each is not None), str(number))
        found[key if key not in found else f"{key} #{number}"] = record
    return found


def _text(value: Any) -> Optional[str]:
    if value is None:
        return None
    if isinstance(value, Fault):
        return value.slug
    if dataclasses.is_dataclass(value):
        name = getattr(value, "name", None) or getattr(value, "version", None)
        return str(name) if name else "there"
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
