"""Every slug a finding can have: its levels, what it means, what to do about it.

The one list; PREFLIGHT.md is held against it. Words in angle brackets of a remedy
are filled in by the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from sealift_manifests.preflight.catalog_cuda import CUDA_KINDS
from sealift_manifests.preflight.catalog_gpu import GPU_KINDS
from sealift_manifests.preflight.catalog_host import HOST_KINDS
from sealift_manifests.preflight.findings import LEVELS, Finding

Row = Tuple[str, str, str, str, str]
"""Theme, slug, levels (the usual one first), meaning, remedy."""


@dataclass(frozen=True)
class Kind:
    """A slug, the levels it comes with, what it means, and the usual remedy."""

    theme: str
    slug: str
    levels: Tuple[str, ...]
    meaning: str
    remedy: str

    def __post_init__(self) -> None:
        if not set(self.levels) <= set(LEVELS):
            raise ValueError(f"{self.slug}: unknown level")


def _kinds(*tables: Tuple[Row, ...]) -> Dict[str, Kind]:
    kinds: Dict[str, Kind] = {}
    for theme, slug, levels, meaning, remedy in (row for t in tables for row in t):
        if slug in kinds:
            raise ValueError(f"{slug} is listed twice")
        kinds[slug] = Kind(theme, slug, tuple(levels.split()), meaning, remedy)
    return kinds


KINDS = _kinds(HOST_KINDS, GPU_KINDS, CUDA_KINDS)


def found(
    slug: str,
    about: str,
    measured: str,
    needed: str,
    *,
    level: str = "",
    **words: str,
) -> Finding:
    """Return a finding of a kind, its remedy filled in with `words`."""
    kind = KINDS[slug]
    if level and level not in kind.levels:
        raise ValueError(f"{slug} is never of level {level}")
    remedy = kind.remedy
    for name, word in words.items():
        remedy = remedy.replace(f"<{name}>", word)
    return Finding(level or kind.levels[0], slug, about, measured, needed, remedy)
