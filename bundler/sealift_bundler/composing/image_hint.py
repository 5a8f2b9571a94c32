"""What to write for an image of a Compose file that the spec does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealift_manifests.references import ImageReference, read_reference


def image_hint(service: str, written: Any, references: Mapping[str, str]) -> str:
    """Return the line that would do, and "; "; nothing where there is none to tell."""
    found = _read(written)
    if found is None:
        return ""
    for key, reference in references.items():
        known = read_reference(reference)
        if (known.registry, known.repository) == (found.registry, found.repository):
            return f"the spec has {reference}: write `image: {key}`; "
    name = found.familiar
    if found.is_latest:
        bare = name.removesuffix(":latest")
        name = f"{bare}:TAG"
        loose = f"and {written} can mean another image tomorrow; "
    else:
        loose = ""
    return f'{loose}to carry it, write images: {{{service}: {{pull: "{name}"}}}}; '


def _read(written: Any) -> ImageReference | None:
    try:
        return read_reference(written) if isinstance(written, str) else None
    except ValueError:
        return None
