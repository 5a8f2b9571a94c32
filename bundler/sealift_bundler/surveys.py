"""Surveyed hosts: read where bundles are made, and judged by the rules of the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import ManifestError, PreflightError
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.facts import HostFacts
from sealift_manifests.preflight.findings import Acceptance, Finding
from sealift_manifests.preflight.needs import Needs
from sealift_manifests.preflight.survey import MAX_SURVEY, parse_survey
from sealift_manifests.preflight.tables import Tables
from sealift_manifests.preflight.words import as_json, count, describe, way_out

from sealift_bundler.documents import read_named

NONE_ACCEPTED = Acceptance()


@dataclass(frozen=True)
class Survey:
    """A host as its survey says; `data` is the file, `digest` that of its bytes."""

    path: Path
    data: bytes
    digest: Digest
    facts: HostFacts

    @property
    def label(self) -> str:
        """What people call it: the host's name, or the file where it has none."""
        name = self.facts.name
        return f"{name} ({self.path.name})" if name else self.path.name


@dataclass(frozen=True)
class Judged:
    """A surveyed host, and what was found about it for a bundle."""

    survey: Survey
    findings: tuple[Finding, ...]


class HostUnfitError(PreflightError):
    """A surveyed host has faults that nobody took on; `judged` has all findings."""

    def __init__(self, message: str, *, hint: str, judged: Sequence[Judged]) -> None:
        super().__init__(message, hint=hint)
        self.judged = tuple(judged)


def read_surveys(paths: Sequence[Path]) -> tuple[Survey, ...]:
    """Read what `survey` wrote on the hosts; two of one content count once."""
    found: dict[Digest, Survey] = {}
    for path in paths:
        data = _read(path)
        digest = digest_of(data)
        found.setdefault(
            digest, Survey(path, data, digest, parse_survey(data, str(path)))
        )
    return tuple(found.values())


def judge(
    surveys: Sequence[Survey], needs: Needs, tables: Tables
) -> tuple[Judged, ...]:
    """Judge each host for a bundle, by the rules that the host goes by itself."""
    return tuple(
        Judged(survey, _of_the_day(check_host(needs, survey.facts, tables)))
        for survey in surveys
    )


def require(judged: Sequence[Judged], acceptance: Acceptance, what: str) -> None:
    """Raise HostUnfitError when a host has a fail that was not accepted."""
    blocking = [f for each in judged for f in acceptance.blocking(each.findings)]
    if blocking:
        raise HostUnfitError(
            f"{what} will not run on every surveyed host\n"
            + "\n".join(findings_text(judged, acceptance)),
            hint="No bundle was made. " + way_out(blocking),
            judged=judged,
        )


def findings_text(judged: Sequence[Judged], acceptance: Acceptance) -> list[str]:
    """Return the findings about each host as lines."""
    lines = []
    for each in judged:
        lines += ["", f"host {each.survey.label}: {count(each.findings)}"]
        lines += describe(each.findings, acceptance)
    return lines


def judged_as_json(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return the findings about each host as JSON has them."""
    return [
        {
            "survey": str(each.survey.path),
            "digest": str(each.survey.digest),
            "findings": as_json(each.findings),
        }
        for each in judged
    ]


def _of_the_day(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Leave out what a survey, older than any bundle, cannot be blamed for."""
    return tuple(finding for finding in findings if finding.slug != "clock-behind")


def _read(path: Path) -> bytes:
    data = read_named(
        path,
        MAX_SURVEY,
        hint="Name a file that `sealift-installer.pyz survey -o FILE` wrote on the "
        "host.",
    )
    if not data:
        raise ManifestError(
            f"{path} is empty", hint="Take the survey on the host again."
        )
    return data
