"""What a rehearsal is asked for, what came of it, and both as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sealift_manifests import records, strictjson
from sealift_manifests.digests import Digest
from sealift_manifests.errors import ReachesOutsideError
from sealift_manifests.sizes import counted

EVIDENCE_NAME = "rehearsal.json"
"""The name under which a bundle carries what its rehearsal has shown."""

EVIDENCE_TYPE = "sealift-rehearsal"
EVIDENCE_FORMAT = 1
_HEAD = records.Head(
    EVIDENCE_TYPE,
    EVIDENCE_FORMAT,
    "the evidence of a rehearsal",
    "Build the bundle again with --rehearse.",
    "Look at it with the Sealift that built the bundle.",
)


@dataclass(frozen=True)
class Seen:
    """A service's attempt to reach outside: what, when first (UTC), how often."""

    service: str
    target: str
    how: str
    first: str
    times: int

    def __str__(self) -> str:
        """Return it in one line, for people."""
        often = "once" if self.times == 1 else f"{self.times} times"
        verb = "asked for" if self.how == "dns" else "tried"
        port = "" if self.how == "dns" else f" {self.how}"
        return f"{self.service} {verb} {self.target}{port}, {often}, first {self.first}"


@dataclass(frozen=True)
class Rehearsed:
    """What came of it: the services' states, how they answered, who tried to get out.

    `smoke` are the installer's facts about each smoke test; `accepted` the fails of the
    preflight that were taken on.
    """

    services: Mapping[str, str]
    attempts: tuple[Seen, ...]
    seconds: float
    engine: str
    smoke: tuple[Mapping[str, Any], ...] = ()
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RehearsalOptions:
    """How to rehearse.

    `watch` is how long to look on once all is healthy, `wait` how long to wait for
    that, both in seconds. `accept` are fails of the preflight to take on. With
    `strict`, an attempt to reach outside is a failure. `given` are settings of the site
    that the rehearsal plays, NAME=VALUE each.
    """

    watch: int = 30
    wait: int = 1800
    accept: Sequence[str] = ()
    strict: bool = False
    given: Sequence[str] = ()

    def require(self, done: Rehearsed) -> None:
        """Raise ReachesOutsideError for an attempt, if they are not to be."""
        if self.strict and done.attempts:
            raise ReachesOutsideError(
                f"{counted(len(done.attempts), 'attempt')} to reach outside",
                hint="Set the server's switches for running offline, or carry what it "
                "wanted; without --strict this is told only.",
            )


@dataclass(frozen=True)
class RehearsedService:
    """A service and the state it was in at the end."""

    name: str
    state: str


@dataclass(frozen=True)
class RehearsedAnswer:
    """A smoke test that was answered as expected, and how long that took."""

    name: str
    milliseconds: int


@dataclass(frozen=True)
class RehearsedSetting:
    """A setting of the site that was played, and the value that it was given."""

    name: str
    value: str


@dataclass(frozen=True)
class Evidence:
    """What a rehearsal has shown, as the bundle carries it under its signature.

    `manifest` is the digest of the manifest.json that was rehearsed; `began` is in UTC,
    `watched` and `seconds` (from the start on) are whole seconds. `accepted` are fails
    of the preflight that this machine had and the rehearsal took on.
    """

    format: int
    type: str
    manifest: Digest
    began: str
    engine: str
    watched: int
    seconds: int
    services: tuple[RehearsedService, ...]
    answers: tuple[RehearsedAnswer, ...]
    attempts: tuple[Seen, ...]
    settings: tuple[RehearsedSetting, ...] = ()
    accepted: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in a line, for people."""
        up = f"{counted(len(self.services), 'service')} up"
        if self.answers:
            up += f", {counted(len(self.answers), 'smoke test')} good"
        if self.settings:
            up += ", with " + " ".join(f"{s.name}={s.value}" for s in self.settings)
        if self.accepted:
            up += f", accepted: {', '.join(self.accepted)}"
        out = "nobody"
        if self.attempts:
            out = ", ".join(sorted({each.service for each in self.attempts}))
        return (
            f"{self.began} on Docker {self.engine}: {up}; "
            f"{out} tried to reach outside in {self.watched} s"
        )


def dump_evidence(evidence: Evidence) -> bytes:
    """Return the exact bytes of the evidence."""
    return strictjson.dump(records.encode(evidence))


def parse_evidence(data: bytes, where: str = EVIDENCE_NAME) -> Evidence:
    """Parse evidence whose bytes were verified; raise ManifestError for others."""
    value = strictjson.load(data, where)
    _HEAD.check(value, where)
    return records.decode(Evidence, value, where)
