"""Bring images into the packs: fetched blobs as they are, others out of the engine.

What comes from a registry is kept byte for byte. What the engine saves is streamed
into the packs and gets a manifest that we write. For a delta, a layer that hosts have
is left out whole: an engine gives layers back, not parts of them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sealift_manifests.digests import Digest, digest_of, from_hex
from sealift_manifests.errors import SourceContentError
from sealift_manifests.image_entries import (
    Descriptor,
    ImageEntry,
    ImageSource,
    LayerEntry,
)
from sealift_manifests.preflight.notes import IMAGE_NOTE, image_needs_facts
from sealift_manifests.preflight.tables import Tables
from sealift_manifests.references import qualify, read_reference, unique_reference

from sealift_bundler import registry
from sealift_bundler.bases import Bases
from sealift_bundler.chunking import CHUNK_SIZE
from sealift_bundler.engine.archive import Readable
from sealift_bundler.engine.build import check_no_secrets, secret_values
from sealift_bundler.engine.client import open_engine
from sealift_bundler.engine.save import save_image
from sealift_bundler.gather_images import GatheredImage
from sealift_bundler.image_facts import image_config, image_facts
from sealift_bundler.insides.layers import LayerView, inodes_of, merged
from sealift_bundler.insides.needs import ImageConfig, image_needs, with_insides
from sealift_bundler.leaks.check import check_image
from sealift_bundler.pack import Packer
from sealift_bundler.progress import Meter
from sealift_bundler.registry import LayerFacts, ResolvedImage, verify_layers

if TYPE_CHECKING:
    from docker import DockerClient


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
    """What the manifest says of the images; how each is run and its layers, by key."""

    entries: tuple[ImageEntry, ...]
    configs: Mapping[str, ImageConfig]
    views: Mapping[str, tuple[LayerView, ...]]


def pack_images(
    packer: Packer,
    images: Sequence[GatheredImage],
    bases: Bases,
    progress: Meter,
    tables: Tables,
) -> PackedImages:
    """Pack every image, but for the layers that the bases have.

    `tables` say for which GPUs published builds are.
    """
    packed = [(image, _parts(packer, image, bases, progress)) for image in images]
    configs = {
        image.name: image_config(parts.config, image.name) for image, parts in packed
    }
    entries = [
        _entry(image, parts, configs[image.name], tables) for image, parts in packed
    ]
    views = {image.name: parts.views for image, parts in packed}
    return PackedImages(tuple(entries), configs, views)


def _parts(
    packer: Packer, image: GatheredImage, bases: Bases, progress: Meter
) -> _Parts:
    with progress.item(_called(image)):
        if image.resolved:
            return _pack_blobs(packer, image, image.resolved, bases, progress)
        return _pack_saved(packer, image, bases, progress)


def _called(image: GatheredImage) -> str:
    return f"image {image.name}"


def _entry(
    image: GatheredImage, parts: _Parts, how: ImageConfig, tables: Tables
) -> ImageEntry:
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
        facts=_facts(image, parts, how, tables),
    )


def _facts(
    image: GatheredImage, parts: _Parts, how: ImageConfig, tables: Tables
) -> dict[str, Any]:
    needs = image_needs(image.name, image.platform, how)
    pulled = read_reference(image.reference) if image.resolved else None
    needs = with_insides(
        needs,
        how,
        merged(parts.views),
        tables,
        repository=f"{pulled.registry}/{pulled.repository}" if pulled else "",
    )
    needs = replace(needs, unpacked_inodes=inodes_of(parts.views))
    facts = image_facts(parts.config, image.name)
    return {**facts, IMAGE_NOTE: image_needs_facts(needs)}


def _pack_blobs(
    packer: Packer,
    image: GatheredImage,
    resolved: ResolvedImage,
    bases: Bases,
    progress: Meter,
) -> _Parts:
    """Pack what was fetched, after its layers were unpacked and compared."""
    places = image.blobs or {}

    def open_blob(digest: Digest) -> BinaryIO:
        return _Counted(places[digest], progress)

    facts = verify_layers(
        resolved.config_bytes, resolved.layers, open_blob, image=f"image {image.name}"
    )
    views = tuple(found.view for found in facts)
    check_image(image.name, resolved.config_bytes, views, image.not_secret)
    layers = tuple(map(_layer_entry, resolved.layers, facts))
    left_out = {layer.digest for layer in layers if bases.gives(layer)}
    packer.add_bytes(resolved.manifest, _called(image))
    in_order = {blob.digest: places[blob.digest] for blob in resolved.blobs}
    _pack_files(packer, image, in_order, left_out, progress)
    return _Parts(
        Descriptor(
            resolved.media_type, resolved.manifest_digest, len(resolved.manifest)
        ),
        resolved.config_bytes,
        resolved.config.media_type,
        layers,
        views,
        resolved.index_digest,
    )


def _layer_entry(layer: registry.Descriptor, found: LayerFacts) -> LayerEntry:
    return LayerEntry(
        layer.media_type,
        layer.digest,
        layer.size,
        found.diff_id,
        found.uncompressed_size,
    )


def _pack_files(
    packer: Packer,
    image: GatheredImage,
    places: Mapping[Digest, Path],
    left_out: Collection[Digest],
    progress: Meter,
) -> None:
    """Pack blobs from the cache, and expect them to be what they are called."""
    packed = {
        digest: packer.add(
            _file_pieces(path, progress),
            name=_called(image),
            left_out=digest in left_out,
        )
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


def _pack_saved(
    packer: Packer, image: GatheredImage, bases: Bases, progress: Meter
) -> _Parts:
    with open_engine() as client:
        given = _given_layers(client, image, bases)

        def store(stream: Readable) -> tuple[Digest, int]:
            expected = given.pop(0) if given else None
            taken = packer.add(
                _stream_pieces(stream, progress),
                name=_called(image),
                left_out=expected is not None,
            )
            packer.drain()
            if expected not in (None, taken.digest):
                raise _changed_layers(image)
            return taken.digest, taken.size

        saved = save_image(
            client,
            image.reference,
            image.platform,
            store,
            secrets=secret_values(image.secrets),
        )
    check_no_secrets(saved.config_bytes, image.secrets, image.name)
    check_image(image.name, saved.config_bytes, saved.views, image.not_secret)
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


def _given_layers(
    client: DockerClient, image: GatheredImage, bases: Bases
) -> list[Digest | None]:
    """Return which layers hosts have, in the order in which the engine saves them.

    Only a layer that was read to its end is known, and by then it would be stored: with
    a base that has layers, the image is saved twice, and measured the first time.
    """
    if not bases.have_layers:
        return []
    order: list[Digest] = []

    def measure(stream: Readable) -> tuple[Digest, int]:
        state, size = hashlib.sha256(), 0
        for piece, _ in _stream_pieces(stream, lambda _: None):
            state.update(piece)
            size += len(piece)
        order.append(from_hex(state.hexdigest()))
        return order[-1], size

    saved = save_image(client, image.reference, image.platform, measure)
    held = {layer.digest for layer in saved.layers if bases.gives(layer)}
    return [digest if digest in held else None for digest in order]


def _changed_layers(image: GatheredImage) -> SourceContentError:
    return SourceContentError(
        f"the engine saved the layers of image {image.name} in another order the "
        "second time",
        hint="Let nothing change the image meanwhile, and build again; or build "
        "without --base.",
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


def _stream_pieces(
    stream: Readable, progress: Callable[[int], None]
) -> Iterator[tuple[bytes, int]]:
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
