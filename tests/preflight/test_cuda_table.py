"""What is found about CUDA for each row of `cuda_table`."""

from __future__ import annotations

from typing import Any

import cuda_table
import pytest
from preflight_making import (
    EVERY_CHIP,
    a_bundle,
    a_host,
    a_service,
    an_image,
    compat,
    published,
    requiring,
)
from sealift_manifests.preflight.catalog import KINDS
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.facts import CdiSpec
from sealift_manifests.preflight.needs import Build, GpuRequest

_ALSO = ("gpu-driver-too-new", "gpu-driver-too-old", "gpu-modules-wrong")


def findings_of(row: tuple[str, ...]) -> list[str]:
    """Return the slugs found for a row, about CUDA and the driver for a GPU."""
    _source, driver, gpu, cuda, more, _expected = row
    words = dict(word.partition("=")[::2] for word in more.split())
    host = a_host("" if driver == "?" else driver, gpu, **host_changes(words, driver))
    image = an_image("" if cuda == "?" else cuda, **image_changes(words, cuda))
    form = GpuRequest("devices", ids=("nvidia.com/gpu=all",))
    service = a_service(gpu=form) if "cdi" in words else a_service()
    found = check_host(a_bundle(image, service), host)
    theme = "CUDA and images"
    return sorted(
        {f.slug for f in found if KINDS[f.slug].theme == theme or f.slug in _ALSO}
    )


def host_changes(words: dict[str, str], driver: str) -> dict[str, Any]:
    """Return what a row changes on the host."""
    changes: dict[str, Any] = {"toolkit": {}}
    if "toolkit" in words:
        known = words["toolkit"]
        changes["toolkit"]["version"] = None if known == "?" else known
    if words.get("hook") == "off":
        changes["toolkit"]["compat_hook_disabled"] = True
    if "cdi" in words:
        spec = CdiSpec(
            "/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("all", "0"), (driver,)
        )
        changes["cdi_specs"] = (spec,)
    return changes


def image_changes(words: dict[str, str], cuda: str) -> dict[str, Any]:
    """Return what a row changes in the image."""
    changes: dict[str, Any] = {}
    native = tuple(words.get("native", ",".join(EVERY_CHIP)).split(","))
    ptx = tuple(words["ptx"].split(",")) if "ptx" in words else ()
    changes["builds"] = (Build("torch", cuda=cuda, native=native, ptx=ptx),)
    if "nobuilds" in words:
        changes["builds"] = None
    if "compat" in words:
        note = words.get("note")
        drivers = tuple(map(int, note.split(","))) if note else None
        forced = ("ld.so.conf",) if "forced" in words else ()
        changes["compat"] = (
            compat(words["compat"], drivers=drivers, forced_by=forced),
        )
    if "unseen" in words:
        changes["compat"] = None
    if "published" in words:
        changes.update(requiring(published(cuda)))
    if "old" in words:
        changes.update(requiring())
    return changes


@pytest.mark.parametrize(
    "row", cuda_table.rows(), ids=lambda row: " ".join(row[1:5]).strip()
)
def test_an_image_on_a_host_gets_the_findings_of_the_table(row):
    assert findings_of(row) == sorted(row[5].split())


def test_the_table_has_six_columns_and_no_row_twice():
    rows = cuda_table.rows()

    assert all(len(row) == 6 for row in rows)
    assert len(rows) == len({row[1:5] for row in rows})
    assert len(rows) >= 120


@pytest.mark.parametrize(
    ("cuda", "driver", "newer"),
    [
        ("12.4", "535.104.05", "550.54.14"),
        ("12.8.1", "570.26.01", None),
        ("13.4", "580.95.05", "of branch 615"),
        ("13.9", "580.95.05", "for CUDA 13.9"),
    ],
)
def test_a_driver_that_would_also_compile_is_newer_than_what_runs(cuda, driver, newer):
    found = check_host(a_bundle(an_image(cuda)), a_host(driver))

    remedies = [f.remedy for f in found if f.slug == "cuda-minor-version"]
    expected = f"Nothing to do. A newer driver ({newer}) also compiles PTX."
    assert remedies == ([expected] if newer else [])
