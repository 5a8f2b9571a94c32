"""What could be better about one image, from its config, its layers and its build."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date

from sealift_manifests.preflight.findings import Finding
from sealift_manifests.sizes import human

from sealift_bundler.insides.layers import LayerView, merged
from sealift_bundler.spec import BuildSpec

from .catalog import advice
from .distribution import past_its_end
from .dockerfile import loose_bases

_SECRET = re.compile(
    r"(?:^|_)(?:token|secret|password|passwd|pwd|api_?key|private_?key|credentials?)"
    r"(?:_|$)",
    re.IGNORECASE,
)
_DEVEL = 64 << 20
"""Bytes of CUDA's compilers, headers and static libraries that are worth a word."""


def image_advice(
    name: str, views: Sequence[LayerView], build: BuildSpec | None, today: date
) -> Iterator[Finding]:
    """Yield what could be better about an image. `build` is how it was built here."""
    about = f"image {name}"
    old = past_its_end(merged(views) or {}, today)
    if old:
        yield advice("image-distribution-old", about, old)
    devel = sum(view.devel_size for view in views)
    if devel >= _DEVEL:
        measured = f"{human(devel)} of CUDA's compilers, headers and static libraries"
        yield advice("image-devel-base", about, measured)
    if build:
        yield from _build_advice(about, build)


def _build_advice(about: str, build: BuildSpec) -> Iterator[Finding]:
    text = (build.context / build.dockerfile).read_text(errors="replace")
    loose = loose_bases(text, dict(build.args))
    if loose:
        measured = f"FROM {', '.join(loose)} without a digest"
        yield advice("image-base-unpinned", about, measured)
    named = sorted(arg for arg in build.args if _SECRET.search(arg))
    if named:
        yield advice("image-argument-secret", about, f"args {', '.join(named)}")
