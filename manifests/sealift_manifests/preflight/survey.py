"""The survey: host facts as a document that can be carried, and without names.

So that a host can be judged where the bundle is made, before the trip.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, replace
from typing import Any, Optional

from sealift_manifests import records, strictjson
from sealift_manifests.errors import ManifestError
from sealift_manifests.preflight.facts import HostFacts

SURVEY_TYPE = "sealift-survey"
SURVEY_FORMAT = 1
MAX_SURVEY = 16 << 20
"""The largest accepted survey, in bytes."""

_HEAD = records.Head(
    SURVEY_TYPE,
    SURVEY_FORMAT,
    "a survey of a host",
    "Name the file that the survey on the host wrote.",
    "Take the survey with the installer of the same version.",
)

REDACTED = "redacted"

_UUID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
_IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.])")
_MAC_OR_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}(?![\w:])")
_SHORT_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?::[0-9a-f:]+")
_HOME = re.compile(r"(?<=/home/)[^/\s:,'\"]+")
_PUBLIC_ADDRESSES = ("", "*", "0.0.0.0", "::", "127.0.0.1", "::1")


@dataclass(frozen=True)
class _Survey:
    format: int
    type: str
    host: HostFacts


def dump_survey(facts: HostFacts) -> bytes:
    """Return the exact bytes of the survey of a host."""
    document = _Survey(SURVEY_FORMAT, SURVEY_TYPE, facts)
    return strictjson.dump(records.encode(document))


def parse_survey(data: bytes, where: str = "survey.json") -> HostFacts:
    """Return the host of a survey; raise ManifestError for anything else.

    A survey is not signed: it decides nothing but what people are told.
    """
    if len(data) > MAX_SURVEY:
        raise ManifestError(
            f"{where} has {len(data)} bytes, too many for a survey",
            hint="Take the survey on the host again.",
        )
    value = strictjson.load(data, where)
    _HEAD.check(value, where)
    return records.decode(_Survey, value, where).host


def redact(facts: HostFacts) -> HostFacts:
    """Return the facts without names, UUIDs and addresses; what rules need stays.

    Text is searched for UUIDs, IP and MAC addresses, the host's name and the names
    of home directories; owners of ports are left out.
    """
    machine = facts.machine
    if machine and machine.ports is not None:
        ports = tuple(
            replace(
                port,
                owner=None,
                address=port.address if _is_public(port.address) else REDACTED,
            )
            for port in machine.ports
        )
        facts = replace(facts, machine=replace(machine, ports=ports))
    cleaned: HostFacts = _clean(facts, facts.name)
    return replace(cleaned, name=None)


def _is_public(address: str) -> bool:
    return address in _PUBLIC_ADDRESSES or address.startswith("127.")


def _clean(value: Any, name: Optional[str]) -> Any:
    if isinstance(value, str):
        return value if _is_public(value) else _clean_text(value, name)
    if isinstance(value, tuple):
        return tuple(_clean(each, name) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: _clean(getattr(value, field.name), name)
            for field in dataclasses.fields(value)
        }
        if "uuid" in changed:
            changed["uuid"] = None
        return replace(value, **changed)
    return value


def _clean_text(text: str, name: Optional[str]) -> str:
    for pattern in (_UUID, _IPV4, _MAC_OR_IPV6, _SHORT_IPV6, _HOME):
        text = pattern.sub(REDACTED, text)
    # The whole name first: without its first part the rest would not be found.
    for known in (name or "", (name or "").partition(".")[0]):
        if known not in ("", "localhost"):
            text = re.sub(rf"(?<!\w){re.escape(known)}(?!\w)", REDACTED, text)
    return text
