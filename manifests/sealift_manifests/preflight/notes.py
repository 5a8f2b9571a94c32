"""Needs as notes of a manifest (`facts`), and back.

`image.facts["gpu"]`, `model.facts["serving"]` and `stack.facts["services"]` (a list)
hold what the build found; names, sizes and links come from the manifest itself.
Bundles built before these notes are read from the older ones, as far as they go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Iterable, List, Tuple

from sealift_manifests import records
from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.model import Manifest
from sealift_manifests.model_entries import ModelEntry
from sealift_manifests.preflight.lenient import Reader
from sealift_manifests.preflight.needs import (
    DiskNeeds,
    ImageNeeds,
    ModelNeeds,
    Needs,
    ServiceNeeds,
)

IMAGE_NOTE, MODEL_NOTE, SERVICES_NOTE = "gpu", "serving", "services"

_IMAGE_OWN = ("name", "platform", "archive_size", "unpacked_size")
_MODEL_OWN = ("name",)
_SERVICE_OWN = ("image", "models")
_METADATA = 4 << 20


def image_needs_facts(image: ImageNeeds) -> Dict[str, Any]:
    """Return the value of `image.facts["gpu"]`."""
    return _without(records.encode(image), _IMAGE_OWN)


def model_needs_facts(model: ModelNeeds) -> Dict[str, Any]:
    """Return the value of `model.facts["serving"]`."""
    return _without(records.encode(model), _MODEL_OWN)


def service_needs_facts(services: Iterable[ServiceNeeds]) -> List[Dict[str, Any]]:
    """Return the value of `stack.facts["services"]`: a list, in order of names."""
    ordered = sorted(services, key=lambda service: service.name)
    return [_without(records.encode(service), _SERVICE_OWN) for service in ordered]


def disk_needs(sizes: Iterable[int]) -> DiskNeeds:
    """Return what an install of files of these sizes writes, each stored once."""
    known = list(sizes)
    return DiskNeeds(sum(known) + _METADATA, len(known) + 64)


def with_data(disk: DiskNeeds, sizes: Iterable[int]) -> DiskNeeds:
    """Return this with volumes of data whose names have these sizes."""
    known = list(sizes)
    return replace(disk, data_size=sum(known), data_inodes=len(known))


def needs_of(manifest: Manifest) -> Needs:
    """Return what a bundle asks of a host.

    Keys nobody knows are passed over; notes of a wrong type count as unknown and
    are named in `unread`.
    """
    reader = Reader()
    images = tuple(_image(reader, image) for image in manifest.images)
    models = tuple(_model(reader, model) for model in manifest.models)
    sizes = {f.digest: f.size for model in manifest.models for f in model.files}
    items = [item for volume in manifest.volumes for item in volume.items]
    disk = with_data(disk_needs(sizes.values()), (item.size for item in items))
    return Needs(
        name=f"{manifest.name} {manifest.version}",
        platform=manifest.platform,
        created=manifest.created,
        images=images,
        models=models,
        services=_services(reader, manifest),
        disk=disk,
        unread=tuple(reader.unread),
    )


def _image(reader: Reader, image: ImageEntry) -> ImageNeeds:
    where = f"images.{image.name}.facts.{IMAGE_NOTE}"
    found: Dict[str, Any] = {}
    if IMAGE_NOTE in image.facts:
        found = reader.fields(ImageNeeds, image.facts[IMAGE_NOTE], where)
    found.update(
        name=image.name,
        platform=image.platform,
        archive_size=image.size,
        unpacked_size=sum(layer.diff_size for layer in image.layers),
    )
    return ImageNeeds(**found)


def _model(reader: Reader, model: ModelEntry) -> ModelNeeds:
    where = f"models.{model.name}.facts.{MODEL_NOTE}"
    found: Dict[str, Any] = {}
    if MODEL_NOTE in model.facts:
        found = reader.fields(ModelNeeds, model.facts[MODEL_NOTE], where)
    found["name"] = model.name
    return ModelNeeds(**found)


def _services(reader: Reader, manifest: Manifest) -> Tuple[ServiceNeeds, ...]:
    if manifest.stack is None:
        return ()
    where = f"stack.facts.{SERVICES_NOTE}"
    written = manifest.stack.facts.get(SERVICES_NOTE, [])
    if not isinstance(written, list):
        reader.unread.append(where)
        written = []
    notes: Dict[str, Dict[str, Any]] = {}
    for number, note in enumerate(written):
        found = reader.fields(ServiceNeeds, note, f"{where}[{number}]")
        notes[found.get("name", "")] = found
    needs = []
    for service in manifest.stack.services:
        found = {**notes.get(service.name, {})}
        found.update(name=service.name, image=service.image, models=service.models)
        needs.append(ServiceNeeds(**found))
    return tuple(needs)


def _without(value: Dict[str, Any], names: Iterable[str]) -> Dict[str, Any]:
    return {key: value[key] for key in value if key not in names}
