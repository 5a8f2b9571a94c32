"""What this host has, for the people who make the next bundle.

Says what is there, not what was once done: files of the store by name and size, layers
by reading the images back out of the engine.
"""

from __future__ import annotations

from typing import FrozenSet, List, Optional, Set, Tuple

from sealift_manifests.digests import Digest
from sealift_manifests.errors import EngineError
from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.index import Index
from sealift_manifests.model_entries import FileEntry
from sealift_manifests.receipt import (
    BLOB,
    PLAIN,
    RECEIPT_FORMAT,
    RECEIPT_TYPE,
    HeldImage,
    HeldLayer,
    HeldModel,
    HeldRelease,
    Receipt,
)

from sealift_installer import releases
from sealift_installer.engine import EngineFacts
from sealift_installer.held import readable_releases, stored_contents
from sealift_installer.host import Host
from sealift_installer.image_audit import exported_digests
from sealift_installer.images import prove_image
from sealift_installer.releases import Release


def take_receipt(host: Host, name: Optional[str], *, layers: bool) -> Receipt:
    """Return what is there of each installed release, or of those of one bundle.

    Without `layers` the images are left out: to tell what the engine gives back, they
    are read to their end.
    """
    facts = host.engine.probe() if layers else None
    if layers and facts is None:
        host.report.step("no engine answers: images are left out")
    seen: Set[Digest] = set()
    held = []
    for release, index in readable_releases(host.layout, host.report.step):
        if name in (None, release.manifest.name):
            held.append(_held(host, release, index, facts, seen))
    return Receipt(
        format=RECEIPT_FORMAT,
        type=RECEIPT_TYPE,
        created=host.now().strftime(releases.TIME),
        releases=tuple(held),
    )


def _held(
    host: Host,
    release: Release,
    index: Index,
    facts: Optional[EngineFacts],
    seen: Set[Digest],
) -> HeldRelease:
    manifest = release.manifest
    contents = list(stored_contents(host.layout, release, index))
    there = {content.digest for content in contents}
    numbers = {number for content in contents for number in content.chunks}
    chunks = {index.chunks[number].digest for number in numbers} - seen
    seen |= chunks
    return HeldRelease(
        name=manifest.name,
        version=manifest.version,
        serial=manifest.serial,
        root=release.record.root,
        current=releases.current_path(host.layout, manifest.name) == release.path,
        models=tuple(
            HeldModel(
                model.name,
                tuple(
                    FileEntry(file.path, file.size, file.digest)
                    for file in model.files
                    if file.digest in there
                ),
            )
            for model in manifest.models
        ),
        images=_images(host, manifest.images, facts),
        chunks=tuple(sorted(chunks)),
    )


def _images(
    host: Host, images: Tuple[ImageEntry, ...], facts: Optional[EngineFacts]
) -> Tuple[HeldImage, ...]:
    found: List[HeldImage] = []
    for image in images if facts else ():
        try:
            fault = prove_image(host.engine, image)
            given = frozenset() if fault else _given(host, image)
        except EngineError as error:
            fault = error.message
        if fault:
            host.report.step(f"left out: {fault}")
            continue
        exact = facts is not None and facts.containerd_store
        layers = tuple(
            HeldLayer(layer.digest, layer.size, layer.diff_id, BLOB if exact else PLAIN)
            for layer in image.layers
            if (layer.digest if exact else layer.diff_id) in given
        )
        found.append(HeldImage(image.name, image.reference, layers))
    return tuple(found)


def _given(host: Host, image: ImageEntry) -> FrozenSet[Digest]:
    host.report.step(f"reading image {image.name} back out of the engine")
    return exported_digests(host.engine, image)
