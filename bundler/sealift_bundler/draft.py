"""What a bundle will ask of a host, as far as that is known before the download.

Sizes come from the Hub and the registry; of models the configs are fetched, of
images the documents. What only the layers tell stays unknown here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sealift_manifests.preflight.needs import ImageNeeds, ModelNeeds, Needs
from sealift_manifests.preflight.notes import disk_needs, with_data

from sealift_bundler.compose import Stack
from sealift_bundler.engine.client import open_engine
from sealift_bundler.engine.save import inspect_image
from sealift_bundler.gather_images import resolve_images
from sealift_bundler.gather_models import ResolvedModel, resolve_models
from sealift_bundler.gather_ollama import OllamaModels
from sealift_bundler.gather_volumes import GatheredVolume, resolve_volumes
from sealift_bundler.image_facts import image_config
from sealift_bundler.insides.needs import ImageConfig, image_needs
from sealift_bundler.models.files import ModelFile
from sealift_bundler.models.hub_values import HubRevision
from sealift_bundler.models.local import scan_directory
from sealift_bundler.models.selection import select
from sealift_bundler.models.serving import SMALL_FILES, serving_needs
from sealift_bundler.registry import ResolvedImage
from sealift_bundler.serving.services import services_needs
from sealift_bundler.spec import Spec
from sealift_bundler.workplace import Workplace

BF16_RATIO = 0.68
"""What byte planes leave of bf16 weights, as measured on published models."""


@dataclass(frozen=True)
class Resolved:
    """What the names in a spec mean now: commits and manifests."""

    models: Mapping[str, ResolvedModel]
    images: Mapping[str, ResolvedImage]
    volumes: Mapping[str, GatheredVolume]


@dataclass(frozen=True)
class Item:
    """A model, image or volume: bytes as packed before compression, and to download.

    None is what is not known before it is built. `likely`: bytes as they will
    probably be packed, where its kind of data tells that; `size` otherwise.
    """

    kind: str
    name: str
    size: int | None
    download: int = 0
    about: str = ""
    likely: int | None = None


@dataclass(frozen=True)
class Draft:
    """What is known of a bundle before it is built."""

    needs: Needs
    items: tuple[Item, ...]

    @property
    def size(self) -> int | None:
        """Bytes that are packed, all in all; a bundle is no larger. None: unknown."""
        sizes = [item.size for item in self.items if item.size is not None]
        return sum(sizes) if len(sizes) == len(self.items) else None

    @property
    def likely(self) -> int | None:
        """Bytes that will probably be packed. None: unknown."""
        sizes = [item.likely for item in self.items if item.likely is not None]
        return sum(sizes) if len(sizes) == len(self.items) else None

    @property
    def download(self) -> int:
        """Bytes that a first build downloads."""
        return sum(item.download for item in self.items)


def resolve_sources(spec: Spec, place: Workplace) -> Resolved:
    """Resolve everything before anything is fetched: a wrong name is told at once."""
    return Resolved(
        resolve_models(spec, place),
        resolve_images(spec, place),
        resolve_volumes(spec, place),
    )


def draft(
    spec: Spec,
    stack: Stack | None,
    place: Workplace,
    resolved: Resolved,
) -> Draft:
    """Return what is known of a bundle; of models small files are fetched for it."""
    files = {name: _files(name, spec, place, resolved) for name in sorted(spec.models)}
    models = tuple(serving_needs(name, listed) for name, listed in files.items())
    images, configs = _images(spec, resolved)
    created = datetime.fromtimestamp(place.epoch, UTC)
    volumes = resolved.volumes.values()
    sizes = (file.size for listed in files.values() for file in listed)
    data = (item.size for volume in volumes for item in volume.scan.items)
    needs = Needs(
        name=f"{spec.name} {spec.version}",
        platform=spec.platform,
        created=created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        images=images,
        models=models,
        services=services_needs(stack, configs) if stack else (),
        disk=with_data(disk_needs(sizes), data),
    )
    items = (
        *_model_items(models, files, resolved),
        *_image_items(images),
        *(
            Item("volume", each.name, each.size, about="data", likely=each.size)
            for each in volumes
        ),
    )
    return Draft(needs, items)


def _model_items(
    models: tuple[ModelNeeds, ...],
    files: Mapping[str, list[ModelFile]],
    resolved: Resolved,
) -> Iterator[Item]:
    for model in models:
        size = sum(file.size for file in files[model.name])
        likely = size - _shrinks(model)
        found = resolved.models.get(model.name)
        about, is_here = "local", True
        if isinstance(found, HubRevision):
            about, is_here = f"{found.repo}@{found.commit[:12]}", False
        elif found:
            about, is_here = found.names, not found.pulled
        download = 0 if is_here else size
        yield Item("model", model.name, size, download, about, likely)


def _shrinks(model: ModelNeeds) -> int:
    """Return the bytes that packing a model will probably save, where that is known.

    Other dtypes than bf16 and other formats shrink by anything from nothing to half.
    """
    is_plain = model.quantization is None and model.format in (None, "safetensors")
    if model.dtype != "bfloat16" or not is_plain:
        return 0
    return int((model.weights_size or 0) * (1 - BF16_RATIO))


def _image_items(images: tuple[ImageNeeds, ...]) -> Iterator[Item]:
    for image in images:
        known = image.archive_size
        is_pulled = known is not None and image.unpacked_size is None
        where = "registry" if is_pulled else "engine" if known else "to be built"
        download = known or 0 if is_pulled else 0
        yield Item("image", image.name, known, download, where, known)


def _files(
    name: str, spec: Spec, place: Workplace, resolved: Resolved
) -> list[ModelFile]:
    """Return a model's files; of those on the Hub only the small ones are here."""
    model, revision = spec.models[name], resolved.models.get(name)
    if isinstance(revision, OllamaModels):
        return list(revision.listed())
    if revision is None:
        assert model.path is not None, "a model has a repo or a path"
        tree = select(scan_directory(model.path).files, model.include, model.ignore)
        return [ModelFile.at(file.path, file.source) for file in tree]
    # The Hub's client takes 0.15 s to import, which only its models shall cost.
    from sealift_bundler.models.hub_download import snapshot

    chosen = select(revision.files, model.include, model.ignore)
    small = [file for file in chosen if file.path in SMALL_FILES]
    places = snapshot(revision, small, place.cache / "hub", lambda _size: None)
    return [
        ModelFile.at(file.path, places[file.path])
        if file.path in places
        else ModelFile.not_here(file.path, file.size)
        for file in chosen
    ]


def _images(
    spec: Spec, resolved: Resolved
) -> tuple[tuple[ImageNeeds, ...], dict[str, ImageConfig]]:
    found, configs = [], {}
    for name, image in sorted(spec.images.items()):
        if name in resolved.images:
            known = resolved.images[name]
            configs[name] = image_config(known.config_bytes, name)
            needs = image_needs(name, spec.platform, configs[name])
            needs = replace(needs, archive_size=known.size + len(known.manifest))
        elif image.engine:
            with open_engine() as client:
                held = inspect_image(client, image.engine)
            configs[name] = held.config
            needs = image_needs(name, spec.platform, held.config)
            needs = replace(needs, archive_size=held.size, unpacked_size=held.size)
        else:
            needs = ImageNeeds(name=name, platform=spec.platform)
        found.append(needs)
    return tuple(found), configs
