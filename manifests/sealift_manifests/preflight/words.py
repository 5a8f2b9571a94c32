"""Findings for people and for JSON: the same words on both sides of the gap."""

from __future__ import annotations

import textwrap
from typing import Any, Dict, FrozenSet, Iterable, List, Sequence

from sealift_manifests.errors import UsageError
from sealift_manifests.preflight.catalog import KINDS
from sealift_manifests.preflight.findings import (
    LEVELS,
    NEVER_ACCEPTED,
    Acceptance,
    Finding,
)

_WIDTH = 88
_MANY = {"fail": "fails", "warn": "warnings", "unknown": "unknown", "note": "notes"}
_ONE = {"fail": "fail", "warn": "warning", "unknown": "unknown", "note": "note"}


def acceptance_of(slugs: Iterable[str]) -> Acceptance:
    """Return what the command line takes on; raise UsageError for what it may not."""
    named: FrozenSet[str] = frozenset(slugs)
    unknown, never = sorted(named - set(KINDS)), sorted(named & NEVER_ACCEPTED)
    if unknown or never:
        why = f"{unknown[0]} is no finding" if unknown else f"{never[0]} is never taken"
        raise UsageError(
            f"--accept {(unknown or never)[0]}: {why}",
            hint="Findings carry their slug: see `preflight`. A fail that no image "
            "could run with must be mended.",
        )
    return Acceptance(named)


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


def as_json(findings: Iterable[Finding]) -> List[Dict[str, Any]]:
    """Return findings as JSON has them; `figures` only where there are some."""
    found = []
    for finding in findings:
        fields: Dict[str, Any] = dict(vars(finding))
        figures = dict(fields.pop("figures"))
        found.append({**fields, "figures": figures} if figures else fields)
    return found


def way_out(blocking: Sequence[Finding]) -> str:
    """Return what to do about fails: mend them, or take on those one may."""
    slugs = sorted({finding.slug for finding in blocking})
    open_to = [slug for slug in slugs if slug not in NEVER_ACCEPTED]
    must = [slug for slug in slugs if slug in NEVER_ACCEPTED]
    words = ["The remedies stand above."]
    if must:
        words.append(f"Cannot be accepted: {', '.join(must)}.")
    if open_to:
        options = " ".join(f"--accept {slug}" for slug in open_to)
        words.append(f"To go on all the same, and have it recorded: {options}")
    return " ".join(words)


def printable(text: str) -> str:
    """Return text from a host or a manifest without what could steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


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
