"""Bring images into the packs: fetched blobs as they are, others out of the engine.

What comes from a registry is kept byte for byte. What the engine saves is streamed
into the packs and gets a manifest that we write.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import SourceContentError
from sealift_manifests.model import Descriptor, ImageEntry, ImageSource, LayerEntry
from sealift_manifests.preflight.notes import IMAGE_NOTE, image_needs_facts
from sealift_manifests.references import qualify, unique_reference

from sealift_bundler.chunking import CHUNK_SIZE
from sealift_bundler.engine.archive import Readable
from sealift_bundler.engine.build import check_no_secrets
from sealift_bundler.engine.client import open_engine
from sealift_bundler.engine.save import save_image
from sealift_bundler.gather_images import GatheredImage
from sealift_bundler.image_facts import image_config, image_facts
from sealift_bundler.insides.layers import LayerView, merged
from sealift_bundler.insides.needs import ImageConfig, image_needs, with_insides
from sealift_bundler.pack import Packer
from sealift_bundler.progress import Meter
from sealift_bundler.registry import ResolvedImage, verify_layers


@dataclass(frozen=True)
class _Parts:
    """An image whose blobs are packed."""

    manifest: Descriptor
    config: bytes
    config_type: str
    layers: tuple[LayerEntry, ...]
    views: tuple[LayerView, ...]
    index_digest: Digest | None = None


@dataclass(frozen=True)
class PackedImages:
    """What the manifest says of the images, and how each is run, by its key."""

    entries: tuple[ImageEntry, ...]
    configs: Mapping[str, ImageConfig]


def pack_images(
    packer: Packer, images: Sequence[GatheredImage], progress: Meter
) -> PackedImages:
    """Pack every image."""
    packed = [(image, _parts(packer, image, progress)) for image in images]
    configs = {
        image.name: image_config(parts.config, image.name) for image, parts in packed
    }
    entries = [_entry(image, parts, configs[image.name]) for image, parts in packed]
    return PackedImages(tuple(entries), configs)


def _parts(packer: Packer, image: GatheredImage, progress: Meter) -> _Parts:
    with progress.item(_called(image)):
        if image.resolved:
            return _pack_blobs(packer, image, image.resolved, progress)
        return _pack_saved(packer, image, progress)


def _called(image: GatheredImage) -> str:
    return f"image {image.name}"


def _entry(image: GatheredImage, parts: _Parts, how: ImageConfig) -> ImageEntry:
    config = digest_of(parts.config)
    reference = unique_reference(qualify(image.reference), parts.manifest.digest)
    return ImageEntry(
        name=image.name,
        reference=reference,
        source=ImageSource(image.kind, image.reference, parts.index_digest),
        platform=image.platform,
        manifest=parts.manifest,
        config=Descriptor(parts.config_type, config, len(parts.config)),
        layers=parts.layers,
        facts=_facts(image, parts, how),
    )


def _facts(image: GatheredImage, parts: _Parts, how: ImageConfig) -> dict[str, Any]:
    needs = image_needs(image.name, image.platform, how)
    needs = with_insides(needs, how, merged(parts.views))
    facts = image_facts(parts.config, image.name)
    return {**facts, IMAGE_NOTE: image_needs_facts(needs)}


def _pack_blobs(
    packer: Packer, image: GatheredImage, resolved: ResolvedImage, progress: Meter
) -> _Parts:
    """Pack what was fetched, after its layers were unpacked and compared."""
    places = image.blobs or {}

    def open_blob(digest: Digest) -> BinaryIO:
        return _Counted(places[digest], progress)

    facts = verify_layers(
        resolved.config_bytes, resolved.layers, open_blob, image=f"image {image.name}"
    )
    packer.add_bytes(resolved.manifest, _called(image))
    in_order = {blob.digest: places[blob.digest] for blob in resolved.blobs}
    _pack_files(packer, image, in_order, progress)
    layers = tuple(
        LayerEntry(
            layer.media_type,
            layer.digest,
            layer.size,
            found.diff_id,
            found.uncompressed_size,
        )
        for layer, found in zip(resolved.layers, facts, strict=True)
    )
    return _Parts(
        Descriptor(
            resolved.media_type, resolved.manifest_digest, len(resolved.manifest)
        ),
        resolved.config_bytes,
        resolved.config.media_type,
        layers,
        tuple(found.view for found in facts),
        resolved.index_digest,
    )


def _pack_files(
    packer: Packer, image: GatheredImage, places: Mapping[Digest, Path], progress: Meter
) -> None:
    """Pack blobs from the cache, and expect them to be what they are called."""
    packed = {
        digest: packer.add(_file_pieces(path, progress), name=_called(image))
        for digest, path in places.items()
    }
    packer.drain()
    for digest, taken in packed.items():
        if taken.digest != digest:
            raise SourceContentError(
                f"blob {digest.short} of image {image.name} changed in the cache while "
                "it was packed",
                hint="Let nothing write to the cache directory, and build again.",
            )


def _pack_saved(packer: Packer, image: GatheredImage, progress: Meter) -> _Parts:
    def store(stream: Readable) -> tuple[Digest, int]:
        taken = packer.add(_stream_pieces(stream, progress), name=_called(image))
        packer.drain()
        return taken.digest, taken.size

    with open_engine() as client:
        saved = save_image(client, image.reference, image.platform, store)
    check_no_secrets(saved.config_bytes, image.secrets, image.name)
    packer.add_bytes(saved.manifest_bytes, _called(image))
    packer.add_bytes(saved.config_bytes, _called(image))
    packer.drain()
    return _Parts(
        saved.manifest,
        saved.config_bytes,
        saved.config.media_type,
        saved.layers,
        saved.views,
    )


class _Counted(io.FileIO):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, progress: Meter) -> None:
        super().__init__(path)
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._progress(len(data))
        return data


def _file_pieces(path: Path, progress: Meter) -> Iterator[tuple[bytes, int]]:
    with path.open("rb") as stream:
        yield from _stream_pieces(stream, progress)


def _stream_pieces(stream: Readable, progress: Meter) -> Iterator[tuple[bytes, int]]:
    while piece := _read_full(stream):
        yield piece, 1
        progress(len(piece))


def _read_full(stream: Readable) -> bytes:
    parts = []
    left = CHUNK_SIZE
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
