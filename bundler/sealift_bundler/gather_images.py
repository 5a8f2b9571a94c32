"""Bring every image of a spec onto this machine: pulled, built, or found.

Pulled images lie as blobs in the cache; built and found ones lie in the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sealift_manifests.digests import Digest
from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.references import parse_reference

from sealift_bundler.engine.build import BuildRequest, build_image
from sealift_bundler.engine.client import open_engine
from sealift_bundler.engine.save import inspect_image
from sealift_bundler.lock import ImagePin, LocalPin, image_pin
from sealift_bundler.registry import ResolvedImage, fetch, resolve
from sealift_bundler.spec import BuildSpec, Spec
from sealift_bundler.workplace import Workplace


@dataclass(frozen=True)
class GatheredImage:
    """An image that is here. `blobs` and `resolved` are those of a pulled one.

    `reference` is the one of the spec; `size` is in bytes, an estimate for images
    in the engine. `secrets` are files whose values must not be in it; `not_secret`
    are patterns of files that only look as if they held some.
    """

    name: str
    kind: str
    reference: str
    platform: str
    size: int
    resolved: ResolvedImage | None = None
    blobs: Mapping[Digest, Path] | None = None
    secrets: Mapping[str, Path] = field(default_factory=dict)
    not_secret: tuple[str, ...] = ()

    @property
    def reads(self) -> int:
        """Bytes that packing reads: a pulled image is checked first, then packed."""
        return 2 * self.size if self.resolved else self.size


def resolve_images(spec: Spec, place: Workplace) -> dict[str, ResolvedImage]:
    """Return what every image to pull is; only documents are fetched."""
    return {
        name: _resolve(name, spec, place)
        for name, image in sorted(spec.images.items())
        if image.pull
    }


def gather_images(
    spec: Spec, place: Workplace, resolved: Mapping[str, ResolvedImage]
) -> list[GatheredImage]:
    """Return every image of the spec, fetched, built, or found in the engine."""
    gathered = []
    for name, image in sorted(spec.images.items()):
        if name in resolved:
            gathered.append(_pulled(name, spec, resolved[name], place))
        else:
            if image.build:
                _build(name, image.build, spec, place)
            gathered.append(_in_engine(name, spec))
    return gathered


def image_pins(
    gathered: Sequence[GatheredImage], entries: Sequence[ImageEntry], spec: Spec
) -> Iterator[ImagePin | LocalPin]:
    """Yield what the lock is to say of these images."""
    by_name = {entry.name: entry for entry in entries}
    for image in gathered:
        entry = by_name[image.name]
        if image.resolved:
            yield ImagePin(
                image.name,
                image.reference,
                spec.platform,
                entry.manifest.digest,
                entry.source.index_digest,
            )
        else:
            source = "build" if image.kind == "build" else image.reference
            yield LocalPin(
                "images",
                image.name,
                f"{source} for {spec.platform}",
                entry.config.digest,
            )


def _resolve(name: str, spec: Spec, place: Workplace) -> ResolvedImage:
    written = str(spec.images[name].pull)
    reference = parse_reference(written)
    pin = image_pin(place.lock, name, spec, update=place.update)
    if pin:
        reference = reference.pinned_to(pin.index_digest or pin.manifest_digest)
    found = resolve(reference, spec.platform, insecure=place.insecure)
    place.report.step(f"image {name}: {written} is {found.manifest_digest.short}")
    return found


def _pulled(
    name: str, spec: Spec, resolved: ResolvedImage, place: Workplace
) -> GatheredImage:
    with place.report.progress(f"fetching image {name}", resolved.size) as progress:
        blobs = fetch(
            resolved,
            place.cache / "blobs",
            _steps_of_total(progress),
            insecure=place.insecure,
            item=progress.item,
        )
    return GatheredImage(
        name=name,
        kind="pull",
        reference=spec.reference(name),
        platform=spec.platform,
        size=resolved.size,
        resolved=resolved,
        blobs=blobs,
        not_secret=spec.images[name].not_secret,
    )


def _steps_of_total(progress: Callable[[int], None]) -> Callable[[int], None]:
    """Return a function to be told the bytes done so far, all in all."""
    last = 0

    def tell(total: int) -> None:
        nonlocal last
        progress(total - last)
        last = total

    return tell


def _build(name: str, build: BuildSpec, spec: Spec, place: Workplace) -> None:
    place.report.step(f"image {name}: building {spec.reference(name)}")
    build_image(
        BuildRequest(
            context=build.context,
            tag=spec.reference(name),
            platform=spec.platform,
            dockerfile=build.dockerfile,
            target=build.target,
            args=build.args,
            secrets=build.secrets,
            epoch=place.epoch,
        ),
        report=place.report.detail,
    )


def _in_engine(name: str, spec: Spec) -> GatheredImage:
    image, reference = spec.images[name], spec.reference(name)
    with open_engine() as client:
        found = inspect_image(client, reference)
    return GatheredImage(
        name=name,
        kind=image.kind,
        reference=reference,
        platform=spec.platform,
        size=found.size,
        secrets=image.build.secrets if image.build else {},
        not_secret=image.not_secret,
    )
