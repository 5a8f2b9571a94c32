"""What holds for every host and every bundle."""

from __future__ import annotations

from dataclasses import fields, replace

import cuda_table
import pytest
from host_table import ROWS
from hypothesis import given, settings
from hypothesis import strategies as st
from preflight_making import (
    LLAMA_8B,
    a_bundle,
    a_host,
    a_service,
    an_image,
    compat,
    published,
    requiring,
)
from sealift_manifests.preflight.catalog import KINDS, found
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.facts import HostFacts
from sealift_manifests.preflight.findings import (
    LEVELS,
    NEVER_ACCEPTED,
    Acceptance,
    Finding,
    sort_findings,
)
from sealift_manifests.preflight.tables import default_tables
from sealift_manifests.preflight.versions import numbers

TABLES = default_tables()
DRIVERS = sorted(
    {row.driver for row in TABLES.toolkit_drivers if row.driver}, key=numbers
)
CUDAS = [f"{major}.{minor}" for major, minor in ((11, 8), (12, 4), (12, 8), (13, 0))]
NOTHING = HostFacts(taken="2026-11-23T00:00:00Z")
gpus = st.sampled_from(["T4", "A100", "L40S", "H100", "4090", "A2000"])
drivers = st.sampled_from(DRIVERS)
cudas = st.sampled_from(CUDAS)


def slugs(needs, host) -> set[str]:
    """Return the slugs found."""
    return {finding.slug for finding in check_host(needs, host)}


@given(drivers, drivers, gpus, cudas, st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_newer_driver_never_breaks_what_ran_natively(one, other, gpu, cuda, bridged):
    older, newer = sorted((one, other), key=numbers)
    library = (compat("575.57.08"),) if bridged else ()
    needs = a_bundle(an_image(cuda, compat=library, **requiring(published(cuda))))

    before = check_host(needs, a_host(older, gpu))
    after = check_host(needs, a_host(newer, gpu))

    if "cuda-native" in {f.slug for f in before}:
        assert "cuda-native" in {f.slug for f in after}
        assert not [f for f in after if f.level == "fail"]


@given(drivers, gpus, cudas)
@settings(max_examples=100, deadline=None)
def test_each_image_gets_one_verdict_on_each_gpu(driver, gpu, cuda):
    verdicts = [
        f
        for f in check_host(a_bundle(an_image(cuda)), a_host(driver, gpu))
        if f.slug.startswith("cuda-")
    ]

    assert len(verdicts) == 1


@given(drivers, drivers, gpus)
@settings(max_examples=60, deadline=None)
def test_only_a_forced_compat_library_makes_a_newer_driver_worse(one, other, gpu):
    older, newer = sorted((one, other), key=numbers)
    forced = compat("575.57.08", forced_by=("ld.so.conf",))
    needs = a_bundle(an_image("12.9", compat=(forced,)))

    harmed = "compat-harmful" in slugs(needs, a_host(newer, gpu))

    assert harmed == (numbers(newer)[0] > 575)
    if "compat-harmful" in slugs(needs, a_host(older, gpu)):
        assert harmed


@given(st.integers(1, 200_000), st.integers(1, 200_000))
@settings(max_examples=60, deadline=None)
def test_a_shorter_context_never_fits_worse(one, other):
    order = ["memory-fits", "memory-tight", "memory-too-small"]

    def rank(length: int) -> int:
        service = a_service(models=("llama",), max_model_len=length)
        found = slugs(a_bundle(None, service, model=LLAMA_8B), a_host(gpu="L4"))
        return next(order.index(slug) for slug in found if slug in order)

    assert rank(min(one, other)) <= rank(max(one, other))


@pytest.mark.parametrize(
    "part", [f.name for f in fields(HostFacts) if f.name != "taken"]
)
@pytest.mark.parametrize("needs", [None, a_bundle()], ids=["alone", "with a bundle"])
def test_a_part_nobody_read_is_never_a_fail(part, needs):
    host = replace(a_host(gpu="H100"), **{part: getattr(NOTHING, part)})

    assert [f for f in check_host(needs, host) if f.level in ("fail", "warn")] == []


@pytest.mark.parametrize(
    "part", ["driver", "gpus", "engine", "toolkit", "machine", "kernel_log", "nvswitch"]
)
def test_a_part_nobody_read_is_said_to_be_unknown(part):
    host = replace(a_host(gpu="H100"), **{part: None})
    service = a_service(ports=())

    levels = {f.level for f in check_host(a_bundle(None, service), host)}

    assert "unknown" in levels


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.source}: {row.case}")
def test_a_host_alone_gets_nothing_about_bundles(row):
    about_bundles = ("CUDA and images", "GPU memory")

    found = check_host(None, row.host)

    assert not [f for f in found if KINDS[f.slug].theme in about_bundles]


def test_findings_are_worst_first_and_in_one_order():
    host = a_host("570.124.06", machine={"clock_synced": False, "arch": "aarch64"})
    found = check_host(a_bundle(), host)

    ranks = [LEVELS.index(finding.level) for finding in found]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 3
    assert sort_findings(reversed(found)) == found


def test_the_two_tables_hold_at_least_150_cases_with_a_source_each():
    cases = [row[0] for row in cuda_table.rows()] + [row.source for row in ROWS]

    assert len(cases) >= 300
    assert all(cases)
    assert len({(row.source, row.case) for row in ROWS}) == len(ROWS)


def test_every_slug_of_a_rule_is_found_in_a_case():
    seen = {f.slug for row in ROWS for f in check_host(row.needs, row.host)}
    seen.update(slug for row in cuda_table.rows() for slug in row[5].split())

    # No rule's: it comes with the choice of the tables.
    assert set(KINDS) - seen == {"tables-unread"}


def test_a_fail_can_be_accepted_by_its_slug_and_no_other():
    found = check_host(a_bundle(an_image("13.0")), a_host("550.54.15"))

    assert [f.slug for f in Acceptance().blocking(found)] == ["cuda-driver-too-old"]
    taken_on = Acceptance(frozenset({"cuda-driver-too-old"}))
    assert taken_on.blocking(found) == ()
    assert Acceptance(frozenset({"cuda-unknown"})).blocking(found)


@pytest.mark.parametrize("slug", sorted(NEVER_ACCEPTED))
def test_what_is_never_accepted_is_a_fail_of_the_catalog(slug):
    assert KINDS[slug].levels == ("fail",)
    with pytest.raises(ValueError, match="cannot be accepted"):
        Acceptance(frozenset({slug}))


def test_warnings_and_unknowns_block_nothing():
    found = check_host(a_bundle(), NOTHING)

    assert found
    assert Acceptance().blocking(found) == ()


def test_a_finding_has_a_known_level_and_slug():
    with pytest.raises(ValueError, match="level"):
        Finding("bad", "x", "", "", "", "")
    with pytest.raises(ValueError, match="slug"):
        Finding("fail", "Not Kebab", "", "", "", "")
    with pytest.raises(ValueError, match="never of level"):
        found("gpu-lost", "host", "x", "y", level="note")
