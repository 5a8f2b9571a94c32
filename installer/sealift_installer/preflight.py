"""Judge this host for a bundle, before anything is written: what is missing, told
at once.

Reading the host is `probe`'s, deciding the shared preflight's; here they meet.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from sealift_manifests.errors import PreflightError, UsageError
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import KINDS
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.facts import HostFacts
from sealift_manifests.preflight.findings import (
    LEVELS,
    NEVER_ACCEPTED,
    Acceptance,
    Finding,
)
from sealift_manifests.preflight.needs import DiskNeeds, Needs
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.preflight.tables import default_tables

from sealift_installer.engine import printable
from sealift_installer.host import Host
from sealift_installer.probe.host import probe_host
from sealift_installer.probe.sources import Sources

NONE_ACCEPTED = Acceptance()

_WIDTH = 88
_MANY = {"fail": "fails", "warn": "warnings", "unknown": "unknown", "note": "notes"}
_ONE = {"fail": "fail", "warn": "warning", "unknown": "unknown", "note": "note"}


class HostUnfitError(PreflightError):
    """The host has faults that nobody took on; `findings` are all that was found."""

    def __init__(self, message: str, *, hint: str, findings: Sequence[Finding]) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Verdict:
    """What was found on a host, and which fails were taken on.

    `host` says in one line what the host is, "" where nobody looked.
    """

    host: str = ""
    findings: Tuple[Finding, ...] = ()
    acceptance: Acceptance = NONE_ACCEPTED

    @property
    def accepted(self) -> Tuple[str, ...]:
        """The slugs of fails that are there and were accepted."""
        slugs = {each.slug for each in self.findings if each.level == "fail"}
        return tuple(sorted(slugs & self.acceptance.slugs))

    def require(self, what: str) -> None:
        """Raise HostUnfitError when there is a fail that was not accepted."""
        blocking = self.acceptance.blocking(self.findings)
        if blocking:
            raise HostUnfitError(
                f"this host will not do for {what}: {count(self.findings)}\n"
                f"  it has: {self.host}\n"
                + "\n".join(describe(self.findings, self.acceptance)),
                hint=_way_out(blocking),
                findings=self.findings,
            )

    def facts(self) -> Dict[str, Any]:
        """Return what --json says."""
        return {
            "findings": findings_as_json(self.findings),
            "accepted": list(self.accepted),
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


def judge(host: Host, needs: Optional[Needs], acceptance: Acceptance) -> Verdict:
    """Return everything found about this host, for a bundle or for itself."""
    facts = survey(host)
    return Verdict(
        summary(facts), check_host(needs, facts, default_tables()), acceptance
    )


def without_room(needs: Needs) -> Needs:
    """Return the needs of a bundle that is there already: it takes no more room."""
    images = [replace(image, archive_size=0, unpacked_size=0) for image in needs.images]
    return replace(needs, images=tuple(images), disk=DiskNeeds(0, 0))


def judge_gpus(host: Host, manifest: Manifest, acceptance: Acceptance) -> Verdict:
    """Judge the host for a bundle that uses GPUs; of any other nothing is asked.

    Not its room: `space` knows to the byte what an install still has to write.
    """
    needs = without_room(needs_of(manifest))
    if not Case(needs, HostFacts(taken=""), default_tables()).wants_gpu:
        return Verdict()
    host.report.step("looking at this host")
    return judge(host, needs, acceptance)


def acceptance_of(slugs: Iterable[str]) -> Acceptance:
    """Return what the command line takes on; raise UsageError for what it may not."""
    named = frozenset(slugs)
    unknown = sorted(named - set(KINDS))
    never = sorted(named & NEVER_ACCEPTED)
    if unknown or never:
        why = f"{unknown[0]} is no finding" if unknown else f"{never[0]} is never taken"
        raise UsageError(
            f"--accept {(unknown or never)[0]}: {why}",
            hint="Findings carry their slug: see `preflight`. A fail that no image "
            "could run with must be mended.",
        )
    return Acceptance(named)


def tell(host: Host, verdict: Verdict) -> None:
    """Say on the way what is worth knowing and stops nothing; count the rest."""
    loud = [each for each in verdict.findings if each.level in ("fail", "warn")]
    for line in describe(loud, verdict.acceptance):
        host.report.step(line)
    quiet = len(verdict.findings) - len(loud)
    if quiet:
        host.report.step(f"this host: {count(verdict.findings)}; `preflight` has all")


def count(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each level: "1 fail, 2 warnings"."""
    levels = [finding.level for finding in findings]
    counts = [(level, levels.count(level)) for level in LEVELS]
    words = [f"{n} {(_ONE if n == 1 else _MANY)[level]}" for level, n in counts if n]
    return ", ".join(words) or "no findings"


def describe(findings: Iterable[Finding], acceptance: Acceptance) -> List[str]:
    """Return the findings as lines for people, in the order given."""
    lines: List[str] = []
    for finding in findings:
        taken = finding.level == "fail" and finding.slug in acceptance.slugs
        level = finding.level.upper() + (" (accepted)" if taken else "")
        lines.append("")
        lines.append(f"{level:<8} {finding.slug}: {printable(finding.about)}")
        lines += _paragraph("measured", finding.measured)
        lines += _paragraph("needed", finding.needed)
        lines += _paragraph("remedy", finding.remedy)
    return lines


def _paragraph(name: str, text: str) -> List[str]:
    if not text:
        return []
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=f"  {name:<9} ",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


def findings_as_json(findings: Iterable[Finding]) -> List[Dict[str, str]]:
    """Return findings as JSON has them."""
    return [dict(vars(finding)) for finding in findings]


def accepted_fact(verdict: Verdict) -> Dict[str, Any]:
    """Return what the ledger says of fails that were taken on: nothing for none."""
    return {"accepted": list(verdict.accepted)} if verdict.accepted else {}


def _way_out(blocking: Sequence[Finding]) -> str:
    slugs = sorted({finding.slug for finding in blocking})
    open_to = [slug for slug in slugs if slug not in NEVER_ACCEPTED]
    must = [slug for slug in slugs if slug in NEVER_ACCEPTED]
    words = ["Nothing was changed. The remedies stand above."]
    if must:
        words.append(f"Cannot be accepted: {', '.join(must)}.")
    if open_to:
        options = " ".join(f"--accept {slug}" for slug in open_to)
        words.append(f"To go on all the same, and have it recorded: {options}")
    return " ".join(words)
