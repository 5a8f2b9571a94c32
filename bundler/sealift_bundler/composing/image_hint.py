"""What to write for an image of a Compose file that the spec does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealift_manifests.references import ImageReference, read_reference


def image_hint(
    name: str, service: Mapping[str, Any], references: Mapping[str, str]
) -> str:
    """Return the line that would do, and "; "; nothing where there is none to tell."""
    written = service.get("image")
    found = _read(written)
    if found is None:
        return ""
    for key, reference in references.items():
        known = read_reference(reference)
        if (known.registry, known.repository) == (found.registry, found.repository):
            return f"the spec has {reference}: write `image: {key}`; "
    if service.get("build"):
        return (
            f"to carry it, build it in the spec (images.{name}.build) and say `image: "
            f"{name}` here; "
        )
    if not found.is_latest:
        return f'to carry it, write images: {{{name}: {{pull: "{found}"}}}}; '
    pin = f"{found.familiar.removesuffix(':latest')}:TAG"
    return (
        f'to carry it, write images: {{{name}: {{pull: "{pin}"}}}}, with the tag of '
        "a version: without one it can mean another image tomorrow; "
    )


def _read(written: Any) -> ImageReference | None:
    try:
        return read_reference(written) if isinstance(written, str) else None
    except ValueError:
        return None
