"""Needs as notes of a manifest (`facts`), and back.

`image.facts["gpu"]`, `model.facts["serving"]` and `stack.facts["services"]` (a list)
hold what the build found; names, sizes and links come from the manifest itself.
Bundles built before these notes are read from the older ones, as far as they go.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional, Tuple

from sealift_manifests import records
from sealift_manifests.model import ImageEntry, Manifest, ModelEntry
from sealift_manifests.preflight.lenient import Reader
from sealift_manifests.preflight.needs import (
    DiskNeeds,
    DtypeSize,
    ImageNeeds,
    ModelNeeds,
    Needs,
    ServiceNeeds,
    Variable,
)

IMAGE_NOTE, MODEL_NOTE, SERVICES_NOTE = "gpu", "serving", "services"

DTYPE_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("BF16", "F16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
    "F4": 4,
}
"""Bits of an element, by the dtype names of safetensors."""

_IMAGE_OWN = ("name", "platform", "archive_size", "unpacked_size")
_MODEL_OWN = ("name",)
_SERVICE_OWN = ("image", "models")
_CONFIG_NAMES = {
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "hidden_size": "hidden_size",
    "max_positions": "max_position_embeddings",
    "dtype": "dtype",
    "quantization": "quant_method",
    "kv_lora_rank": "kv_lora_rank",
    "qk_rope_head_dim": "qk_rope_head_dim",
    "sliding_window": "sliding_window",
}
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


def needs_of(manifest: Manifest) -> Needs:
    """Return what a bundle asks of a host.

    Keys nobody knows are passed over; notes of a wrong type count as unknown and
    are named in `unread`.
    """
    reader = Reader()
    images = tuple(_image(reader, image) for image in manifest.images)
    models = tuple(_model(reader, model) for model in manifest.models)
    sizes = {f.digest: f.size for model in manifest.models for f in model.files}
    return Needs(
        name=f"{manifest.name} {manifest.version}",
        platform=manifest.platform,
        created=manifest.created,
        images=images,
        models=models,
        services=_services(reader, manifest),
        disk=disk_needs(sizes.values()),
        unread=tuple(reader.unread),
    )


def _image(reader: Reader, image: ImageEntry) -> ImageNeeds:
    where = f"images.{image.name}.facts"
    if IMAGE_NOTE in image.facts:
        note, where = image.facts[IMAGE_NOTE], f"{where}.{IMAGE_NOTE}"
        found = reader.fields(ImageNeeds, note, where)
    else:
        found = _old_image(image.facts.get("environment"))
    found.update(
        name=image.name,
        platform=image.platform,
        archive_size=image.size,
        unpacked_size=sum(layer.diff_size for layer in image.layers),
    )
    return ImageNeeds(**found)


def _old_image(environment: Any) -> Dict[str, Any]:
    if not isinstance(environment, dict) or not all(
        isinstance(value, str) for value in environment.values()
    ):
        return {}
    return {
        "cuda": environment.get("CUDA_VERSION", ""),
        "requires": tuple(
            Variable(name, value)
            for name, value in sorted(environment.items())
            if name.startswith("NVIDIA_REQUIRE_")
        ),
    }


def _model(reader: Reader, model: ModelEntry) -> ModelNeeds:
    if MODEL_NOTE in model.facts:
        where = f"models.{model.name}.facts.{MODEL_NOTE}"
        found = reader.fields(ModelNeeds, model.facts[MODEL_NOTE], where)
    else:
        found = _old_model(reader, model)
    found["name"] = model.name
    return ModelNeeds(**found)


def _old_model(reader: Reader, model: ModelEntry) -> Dict[str, Any]:
    config = model.facts.get("config")
    config = config if isinstance(config, dict) else {}
    note = {name: config[key] for name, key in _CONFIG_NAMES.items() if key in config}
    found = reader.fields(ModelNeeds, note, f"models.{model.name}.facts.config")
    sizes = _sizes(model.facts.get("dtypes"))
    if sizes:
        found["sizes"] = sizes
        found["weights_size"] = sum(each.size for each in sizes)
    if any(file.path.endswith(".safetensors") for file in model.files):
        found["format"] = "safetensors"
    elif any(file.path.endswith(".gguf") for file in model.files):
        found["format"] = "gguf"
    return found


def _sizes(counts: Any) -> Optional[Tuple[DtypeSize, ...]]:
    """Return bytes per dtype from elements per dtype, if every dtype is known."""
    if not isinstance(counts, dict) or not all(
        name in DTYPE_BITS and type(count) is int for name, count in counts.items()
    ):
        return None
    return tuple(
        DtypeSize(name, count * DTYPE_BITS[name] // 8)
        for name, count in sorted(counts.items())
    )


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
