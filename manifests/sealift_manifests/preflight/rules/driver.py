"""Rules about the NVIDIA driver itself."""

from __future__ import annotations

from typing import Iterator, Optional

from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.tables import Branch

FAULT_SLUGS = {
    "not-installed": "driver-not-installed",
    "not-loaded": "driver-not-loaded",
    "version-mismatch": "driver-mismatch",
    "no-devices": "gpu-none",
    "no-permission": "driver-permission",
    "gpu-lost": "gpu-lost",
    "probe-timeout": "driver-timeout",
    "library-missing": "driver-library-missing",
    "unknown-error": "driver-error",
}
"""The finding of each driver fault."""

LONG_TERM = "long-term"


def driver_answers(case: Case) -> Iterator[Finding]:
    """Expect a driver that runs and answers."""
    if not case.wants_gpu:
        return
    driver = case.driver
    if driver.fault:
        slug = FAULT_SLUGS.get(driver.fault.slug, "driver-error")
        said = driver.fault.text.strip() or driver.fault.slug
        branch = str(recommended(case) or "")
        yield found(slug, "host", said, "a driver that answers", branch=branch)
    elif case.driver_version is None:
        yield found("driver-unknown", "host", "not known", "an NVIDIA driver")
    elif case.facts.gpus == ():
        yield found("gpu-none", "host", "the driver lists no GPU", "a GPU")
    elif case.facts.gpus is None:
        yield found("gpu-unknown", "host", "not known", "a GPU")


def driver_is_of_one_version(case: Case) -> Iterator[Finding]:
    """Expect the module in use, the one on disk and the libraries to agree."""
    driver = case.driver
    faulty = driver.fault is not None and driver.fault.slug == "version-mismatch"
    if driver.loaded and driver.user_space and driver.loaded != driver.user_space:
        if not faulty:
            yield found(
                "driver-mismatch",
                "host",
                f"module {driver.loaded}, libraries {driver.user_space}",
                "one version",
            )
    elif driver.loaded and driver.on_disk and driver.loaded != driver.on_disk:
        yield found(
            "driver-reboot-pending",
            "host",
            f"{driver.loaded} runs, {driver.on_disk} is installed",
            "the same driver after a reboot",
        )


def driver_is_maintained(case: Case) -> Iterator[Finding]:
    """Expect a branch that still gets fixes."""
    if case.branch is None or not case.wants_gpu:
        return
    row = case.tables.branch_of(case.branch)
    about = f"driver {case.driver_version}"
    if row is None:
        needed = "a branch that the tables know"
        yield found("driver-branch-unknown", "host", about, needed)
    elif not is_maintained(row, today(case)):
        ended = f" since {row.end_of_life}" if row.end_of_life else ""
        yield found(
            "driver-end-of-life",
            "host",
            f"{about}: branch {row.branch} is at its end of life{ended}",
            "a maintained branch",
            branch=str(recommended(case) or ""),
        )


def is_maintained(row: Branch, day: str) -> bool:
    """Tell whether a branch gets fixes on a day (2026-11-23), as far as is known."""
    if row.supported is False:
        return False
    return not row.end_of_life or day[: len(row.end_of_life)] <= row.end_of_life


def today(case: Case) -> str:
    """Return the later of the survey's and the tables' dates: clocks can be wrong."""
    return max(case.facts.taken[:10], case.tables.as_of)


def recommended(case: Case) -> Optional[int]:
    """Return the maintained long-term branch that drives all GPUs of the host."""
    rows = [row for row in case.tables.branches if is_maintained(row, today(case))]
    lasts = [case.architecture(gpu) for gpu in case.gpus]
    last = min((a.last_branch for a in lasts if a and a.last_branch), default=None)
    rows = [row for row in rows if last is None or row.branch <= last]
    rows.sort(key=lambda row: (row.type == LONG_TERM, row.branch))
    return rows[-1].branch if rows else last
