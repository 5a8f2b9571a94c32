"""Rows of the host table: who enforces what an image requires of the driver."""

from __future__ import annotations

from host_rows import Row, gpu_host, toolkit
from preflight_making import (
    a_bundle,
    a_host,
    a_service,
    an_image,
    requiring,
)
from sealift_manifests.preflight.needs import (
    GpuRequest,
)

REQUIRE = (
    # who enforces NVIDIA_REQUIRE
    Row(
        "who enforces",
        "the hook",
        a_host(),
        a_bundle(an_image(**requiring("cuda>=99"))),
        "require-refused",
    ),
    Row(
        "who enforces",
        "the runtime before 1.18",
        toolkit(version="1.17.9"),
        a_bundle(
            an_image(**requiring("cuda>=99")), a_service(gpu=GpuRequest("runtime"))
        ),
        "require-refused toolkit-cve",
    ),
    Row(
        "who enforces",
        "not jit-cdi",
        a_host(),
        a_bundle(
            an_image(**requiring("cuda>=99")), a_service(gpu=GpuRequest("runtime"))
        ),
        "require-unenforced",
    ),
    Row(
        "who enforces",
        "the runtime of an unknown toolkit",
        toolkit(version=None),
        a_bundle(
            an_image(**requiring("cuda>=99")), a_service(gpu=GpuRequest("runtime"))
        ),
        "require-maybe-refused",
    ),
    Row(
        "who enforces",
        "switched off by the service",
        a_host(),
        a_bundle(an_image(**requiring("cuda>=99")), a_service(disable_require="true")),
        "",
    ),
    Row(
        "who enforces",
        "'yes' switches nothing off",
        a_host(),
        a_bundle(an_image(**requiring("cuda>=99")), a_service(disable_require="yes")),
        "require-refused",
    ),
    Row(
        "who enforces",
        "an unknown property",
        a_host(),
        a_bundle(an_image(**requiring("colour=red"))),
        "require-malformed",
    ),
    Row(
        "who enforces",
        "all variables must hold",
        a_host(),
        a_bundle(an_image(**requiring("cuda>=12.8", "driver>=600"))),
        "require-refused",
    ),
    Row(
        "who enforces",
        "the variables are not known",
        a_host(),
        a_bundle(an_image(requires=None, disable_require="")),
        "require-unknown",
    ),
    Row(
        "who enforces",
        "the brand is not known",
        gpu_host(brand=None),
        a_bundle(an_image(**requiring("brand=tesla"))),
        "require-unknown",
    ),
)
