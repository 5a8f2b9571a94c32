"""Rules about NVIDIA_REQUIRE_*, and who would refuse an image because of it."""

from __future__ import annotations

from typing import Iterator, Optional

from sealift_manifests.preflight.case import Case, GpuGroup, GpuImage
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.compat import verdict
from sealift_manifests.preflight.facts import Gpu
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import ServiceNeeds
from sealift_manifests.preflight.paths import dialect_of, gpu_path
from sealift_manifests.preflight.require import (
    Properties,
    evaluate,
    is_disabled,
    requirements,
)


def toolkit_accepts_image(case: Case) -> Iterator[Finding]:
    """Expect the requirements to hold for each GPU, where somebody checks them."""
    for image in case.gpu_images:
        services = image.services or (None,)
        for service in services:
            if is_disabled(_disable(image, service)):
                continue
            for group in image.groups:
                yield from _judge(case, image, service, group)


def _disable(image: GpuImage, service: Optional[ServiceNeeds]) -> Optional[str]:
    if service is not None and service.disable_require is not None:
        return service.disable_require
    return image.image.disable_require


def _judge(
    case: Case, image: GpuImage, service: Optional[ServiceNeeds], group: GpuGroup
) -> Iterator[Finding]:
    about = f"{image.label} on {group.label}"
    variables = image.image.requires
    dialect = dialect_of(gpu_path(case.facts, service.gpu if service else None))
    if variables is None:
        if dialect != "":
            yield found("require-unknown", about, "not known", "the variables")
        return
    wanted = requirements(variables, image.image.cuda)
    result = evaluate(wanted, properties(case, group.gpu), dialect or "c")
    have = f"driver {case.driver_version}, CUDA {case.host_cuda}"
    if result.fault:
        level = "note" if dialect == "" else "fail"
        needed = "what the toolkit can evaluate"
        yield found("require-malformed", about, result.fault, needed, level=level)
    elif result.met is False:
        slug = {"": "require-unenforced", None: "require-maybe-refused"}.get(
            dialect, "require-refused"
        )
        remedy = _remedy(case, image, group.gpu)
        yield found(slug, about, have, result.unmet, remedy=remedy)
    elif result.met is None and dialect != "":
        yield found("require-unknown", about, have, wanted[0].value.split()[0])


def properties(case: Case, gpu: Gpu) -> Properties:
    """Return what requirements are held against for a GPU."""
    brand = case.tables.brand_of(gpu.brand)
    return Properties(
        cuda=case.host_cuda,
        driver=case.driver_version,
        arch=case.capability(gpu),
        brand=brand.require if brand else None,
    )


def _remedy(case: Case, image: GpuImage, gpu: Gpu) -> str:
    if verdict(case, image, gpu).runs:
        return (
            "It runs all the same: set NVIDIA_DISABLE_REQUIRE=1 in the service's "
            "environment, or use CDI."
        )
    return "Update the driver, as the findings about CUDA say."
