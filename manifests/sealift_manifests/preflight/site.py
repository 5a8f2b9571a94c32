"""What a bundle asks of one host: its needs, with that host's values of settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Optional

from sealift_manifests.model import Manifest
from sealift_manifests.preflight.needs import Needs, ServiceNeeds
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.serving.written import (
    WRITTEN_NOTE,
    filled,
    needs_written,
    notes_by_name,
)


def needs_at(manifest: Manifest, values: Mapping[str, str]) -> Needs:
    """Return what a bundle asks of a host that has these values of its settings.

    What hangs on a setting that has none is unknown.
    """
    needs, stack = needs_of(manifest), manifest.stack
    notes = notes_by_name(stack.facts.get(WRITTEN_NOTE)) if stack else {}
    services = tuple(_at(one, notes.get(one.name), values) for one in needs.services)
    return replace(needs, services=services)


def _at(
    service: ServiceNeeds, note: Optional[Mapping[str, Any]], values: Mapping[str, str]
) -> ServiceNeeds:
    if note is None:
        return service
    found = needs_written(filled(note, values))
    return replace(found, name=service.name, image=service.image, models=service.models)
