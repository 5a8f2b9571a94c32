"""Judge this host for a bundle, before anything is written: what is missing, told
at once.

Reading the host is `probe`'s, deciding the shared preflight's; here they meet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from sealift_manifests.errors import PreflightError
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.diff import nearest_survey, survey_file, surveys_of
from sealift_manifests.preflight.facts import HostFacts
from sealift_manifests.preflight.findings import Acceptance, Finding, sort_findings
from sealift_manifests.preflight.needs import DiskNeeds, Needs
from sealift_manifests.preflight.newest import BUILT_IN, ChosenTables
from sealift_manifests.preflight.survey import parse_survey
from sealift_manifests.preflight.words import as_json, count, describe, way_out

from sealift_installer.engine import printable
from sealift_installer.host import Host
from sealift_installer.probe.host import probe_host
from sealift_installer.probe.sources import Sources

NONE_ACCEPTED = Acceptance()


class HostUnfitError(PreflightError):
    """The host has faults that nobody took on; `facts` is what --json says of it."""

    def __init__(self, message: str, *, hint: str, facts: Dict[str, Any]) -> None:
        super().__init__(message, hint=hint, facts=facts)


@dataclass(frozen=True)
class Grounds:
    """What a host is judged by: the tables, and the fails that somebody takes on.

    `surveys` are those that the bundle was made for.
    """

    tables: ChosenTables
    acceptance: Acceptance = NONE_ACCEPTED
    surveys: Tuple[HostFacts, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What was found on a host, and which fails were taken on.

    `host` says in one line what the host is, "" where nobody looked; `changes` what
    is another than in the survey that the bundle was made for; `tables` which NVIDIA
    tables were gone by, None where nobody looked.
    """

    host: str = ""
    findings: Tuple[Finding, ...] = ()
    acceptance: Acceptance = NONE_ACCEPTED
    changes: Tuple[str, ...] = ()
    tables: Optional[ChosenTables] = None

    @property
    def accepted(self) -> Tuple[str, ...]:
        """The slugs of fails that are there and were accepted."""
        slugs = {each.slug for each in self.findings if each.level == "fail"}
        return tuple(sorted(slugs & self.acceptance.slugs))

    def require(self, what: str, also: Sequence[str] = ()) -> None:
        """Raise HostUnfitError when there is a fail that was not accepted.

        `also` is what else is wrong, told with it.
        """
        blocking = self.acceptance.blocking(self.findings)
        if blocking:
            raise HostUnfitError(
                f"this host will not do for {what}: {count(self.findings)}\n"
                + "\n".join([*self.lines(), *also]),
                hint=f"Nothing was changed. {way_out(blocking)}",
                facts=self.facts(),
            )

    def lines(self) -> List[str]:
        """Return all there is to say, for people."""
        label = self.tables.label if self.tables else "none"
        return [
            f"  it has: {self.host}",
            f"  judged by NVIDIA tables of {printable(label)}",
            *describe(self.findings, self.acceptance),
            *self.changes,
        ]

    def facts(self) -> Dict[str, Any]:
        """Return what --json says."""
        return {
            "tables": self.tables.facts() if self.tables else None,
            "findings": as_json(self.findings),
            "accepted": list(self.accepted),
            "changes": list(self.changes),
        }


def survey(host: Host) -> HostFacts:
    """Read the host that this runs on."""
    places = [(host.layout.state, "state")]
    return probe_host(Sources.of_this_host(), host.engine, places)


def summary(facts: HostFacts) -> str:
    """Return a host in one line: its GPUs, driver, toolkit and engine."""
    names = Counter(gpu.name or "an unnamed GPU" for gpu in facts.gpus or ())
    gpus = ", ".join(f"{number} x {name}" for name, number in sorted(names.items()))
    driver = facts.driver.loaded if facts.driver else None
    toolkit, engine = facts.toolkit, facts.engine
    parts = (
        gpus or ("no GPU found" if facts.gpus == () else "GPUs unknown"),
        f"driver {driver}" if driver else "no driver loaded",
        f"container toolkit {toolkit.version}"
        if toolkit and toolkit.installed
        else "no container toolkit",
        f"{engine.kind} {engine.version}"
        if engine and engine.kind
        else "no engine answers",
    )
    return printable("; ".join(parts))


def judge(host: Host, needs: Optional[Needs], grounds: Grounds) -> Verdict:
    """Return everything found about this host, for a bundle or for itself."""
    facts, chosen = survey(host), grounds.tables
    findings = check_host(needs, facts, chosen.tables)
    return Verdict(
        host=summary(facts),
        findings=sort_findings((*findings, *chosen.unread)),
        acceptance=grounds.acceptance,
        changes=changes_since(grounds.surveys, facts),
        tables=chosen,
    )


def surveys_in(
    manifest: Manifest, read: Callable[[str], bytes]
) -> Tuple[HostFacts, ...]:
    """Return the surveys a bundle was made for; `read` returns its files by name."""
    names = [survey_file(digest) for digest in surveys_of(manifest)]
    return tuple(parse_survey(read(name), name) for name in names)


def changes_since(surveys: Sequence[HostFacts], facts: HostFacts) -> Tuple[str, ...]:
    """Say what is another now than in the survey of this host."""
    found = nearest_survey(surveys, facts)
    if found is None:
        return ()
    old, changes = found
    title = f"changed since the survey of {old.name or 'a host'} ({old.taken})"
    if not changes:
        return (f"nothing {title}",)
    return (
        f"{title}:",
        *(f"  {c.fact}: {c.old or 'unknown'} -> {c.new or 'gone'}" for c in changes),
    )


def without_room(needs: Needs) -> Needs:
    """Return the needs of a bundle that is there already: it takes no more room."""
    images = [
        replace(image, archive_size=0, unpacked_size=0, unpacked_inodes=0)
        for image in needs.images
    ]
    return replace(needs, images=tuple(images), disk=DiskNeeds(0, 0))


def judge_gpus(host: Host, asked: Needs, grounds: Grounds) -> Verdict:
    """Judge the host for a bundle that uses GPUs; of any other nothing is asked.

    Not its room: `space` knows to the byte what an install still has to write.
    """
    needs = without_room(asked)
    if not Case(needs, HostFacts(taken=""), grounds.tables.tables).wants_gpu:
        return Verdict()
    host.report.step("looking at this host")
    return judge(host, needs, grounds)


def tell(host: Host, verdict: Verdict) -> None:
    """Say on the way what is worth knowing and stops nothing; count the rest."""
    loud = [each for each in verdict.findings if each.level in ("fail", "warn")]
    for line in describe(loud, verdict.acceptance):
        host.report.step(line)
    for line in verdict.changes:
        host.report.step(line)
    if verdict.tables and verdict.tables.origin != BUILT_IN:
        host.report.step(f"judged by NVIDIA tables of {verdict.tables.label}")
    quiet = len(verdict.findings) - len(loud)
    if quiet:
        host.report.step(f"this host: {count(verdict.findings)}; `preflight` has all")


def accepted_fact(verdict: Verdict) -> Dict[str, Any]:
    """Return what the ledger says of fails that were taken on: nothing for none."""
    return {"accepted": list(verdict.accepted)} if verdict.accepted else {}
