"""All that could be better about a bundle's images and stack, worst first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from sealift_manifests.preflight.findings import Finding, sort_findings

from sealift_bundler.compose import Stack
from sealift_bundler.pack_images import PackedImages
from sealift_bundler.spec import Spec

from .images import image_advice
from .services import services_advice
from .stack import stack_advice
from .weights import weights_advice


def check_hygiene(
    spec: Spec, stack: Stack | None, images: PackedImages, today: date
) -> tuple[Finding, ...]:
    """Return the findings about what was packed; `today` decides what is too old."""
    return sort_findings(_findings(spec, stack, images, today))


def _findings(
    spec: Spec, stack: Stack | None, images: PackedImages, today: date
) -> Iterator[Finding]:
    for name, views in images.views.items():
        yield from image_advice(name, views, spec.images[name].build, today)
    if stack:
        yield from services_advice(stack, images.configs)
        yield from stack_advice(stack)
        yield from weights_advice(stack, images.configs, images.views)
