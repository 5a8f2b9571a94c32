"""What is wrong with a host, as values: how bad, what, and what to do about it.

Which slugs there are stands in `catalog`; which of them people may accept, here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import FrozenSet, Iterable, Tuple, Union

LEVELS = ("fail", "warn", "unknown", "note")
"""Worst first. fail: it will not work. warn: it may stop working, or is unsafe.
unknown: it could not be told. note: it works, and this is why."""

NEVER_ACCEPTED = frozenset(
    {
        "platform-wrong",
        "engine-missing",
        "driver-not-installed",
        "driver-not-loaded",
        "driver-library-missing",
        "driver-mismatch",
        "gpu-none",
        "gpu-lost",
        "gpu-modules-wrong",
        "gpu-driver-too-new",
        "gpu-driver-too-old",
        "disk-full",
        "disk-inodes",
    }
)
"""Fails that nobody may accept: the driver or engine cannot serve any image, or
going on would leave the host worse than before."""

Figures = Tuple[Tuple[str, Union[int, Tuple[int, ...]]], ...]

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")


@dataclass(frozen=True)
class Finding:
    """One thing found about a host.

    `about`: the GPU, image or service concerned ("GPU 0", "image vllm"), or
    "host". `measured` and `needed`: what is so and what should be. `remedy`: what
    to do next, with a command where there is one. `figures`: by name, numbers that
    programs may want.
    """

    level: str
    slug: str
    about: str
    measured: str
    needed: str
    remedy: str
    figures: Figures = ()

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"unknown level {self.level!r}")
        if not _SLUG.match(self.slug):
            raise ValueError(f"bad slug {self.slug!r}")

    @property
    def rank(self) -> Tuple[int, str, str, str]:
        """What findings are sorted by: worst first, then the same order always."""
        return (LEVELS.index(self.level), self.slug, self.about, self.measured)


def sort_findings(findings: Iterable[Finding]) -> Tuple[Finding, ...]:
    """Return the findings worst first, each once."""
    return tuple(sorted(set(findings), key=lambda finding: finding.rank))


@dataclass(frozen=True)
class Acceptance:
    """The fails that somebody takes on, by slug.

    Raises ValueError for a slug of NEVER_ACCEPTED.
    """

    slugs: FrozenSet[str] = frozenset()

    def __post_init__(self) -> None:
        never = sorted(self.slugs & NEVER_ACCEPTED)
        if never:
            raise ValueError(f"{never[0]} cannot be accepted")

    def blocking(self, findings: Iterable[Finding]) -> Tuple[Finding, ...]:
        """Return the fails that are not accepted; with none the host will do."""
        return tuple(
            finding
            for finding in findings
            if finding.level == "fail" and finding.slug not in self.slugs
        )
