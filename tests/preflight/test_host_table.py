"""All findings for each row of `host_table`, with their levels."""

from __future__ import annotations

import pytest
from host_table import ROWS
from sealift_manifests.preflight.catalog import KINDS
from sealift_manifests.preflight.check import check_host


def expected(row) -> list[str]:
    """Return the row's findings as "slug:level", in order."""
    words = [word.partition(":") for word in row.expected.split()]
    return sorted(
        f"{slug}:{level or KINDS[slug].levels[0]}" for slug, _, level in words
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}: {row.case}")
def test_a_host_gets_the_findings_of_the_table(row):
    found = check_host(row.needs, row.host)

    seen = [f"{f.slug}:{f.level}" for f in found if f.slug != "cuda-native"]
    assert sorted(seen) == expected(row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}: {row.case}")
def test_every_finding_says_what_is_so_and_what_to_do(row):
    for finding in check_host(row.needs, row.host):
        assert finding.measured and finding.needed and finding.about, finding
        assert finding.remedy and "<" not in finding.remedy.replace("<=", ""), finding
        assert "None" not in finding.measured + finding.remedy, finding
