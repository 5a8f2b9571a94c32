"""Deltas: what they leave out, and where this host has it, settled before any change.

Weights come from the store, chunk by chunk. A layer of an image comes whole, from an
image in the engine that has it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, Iterable, List, Optional, Tuple

from sealift_manifests.bundle import Bundle, base_missing
from sealift_manifests.digests import Digest
from sealift_manifests.errors import SealiftError
from sealift_manifests.image_entries import ImageEntry, LayerEntry

from sealift_installer.engine import Engine, EngineFacts
from sealift_installer.held import StoreChunks, missing_chunks, readable_releases
from sealift_installer.image_recovery import Recovery, plan_recovery
from sealift_installer.images import prove_image
from sealift_installer.layout import Layout
from sealift_installer.plan import InstallPlan

Facts = Optional[EngineFacts]


def with_base(layout: Layout, bundle: Bundle) -> Bundle:
    """Return the bundle with what this host's store can add to it."""
    if not bundle.index.bases:
        return bundle
    return replace(bundle, base=StoreChunks(layout, bundle))


def require_base(
    layout: Layout, engine: Engine, bundle: Bundle, plan: InstallPlan, facts: Facts
) -> Dict[str, Recovery]:
    """Return how each image of the plan gets what a delta leaves out, by name.

    Images that need nothing are not there. Raises BaseMissingError naming all that
    the plan needs and the host lacks.
    """
    if not bundle.index.bases:
        return {}
    lines = list(missing_chunks(bundle, _wanted(bundle, plan)))
    found = {}
    for image in plan.images:
        recovery, missing = _recovery(layout, engine, bundle, image, facts)
        lines += [
            f"layer {each.diff_id.short} of image {image.name}" for each in missing
        ]
        if recovery.layers:
            found[image.name] = recovery
    if lines:
        raise base_missing(bundle, "it lacks " + ", ".join(lines))
    return found


def _wanted(bundle: Bundle, plan: InstallPlan) -> Iterable[Digest]:
    """Yield the contents that the plan reads, but for layers that may be recovered."""
    yield from (content.digest for content in plan.contents)
    for image in plan.images:
        yield from (image.manifest.digest, image.config.digest)
    for volume in plan.data:
        yield from (item.digest for item in volume.items if item.digest is not None)
    stack = bundle.manifest.stack
    if stack and plan.write_release:
        yield from (entry.digest for entry in stack.files)


def _recovery(
    layout: Layout, engine: Engine, bundle: Bundle, image: ImageEntry, facts: Facts
) -> Tuple[Recovery, Tuple[LayerEntry, ...]]:
    absent = [x for x in image.layers if missing_chunks(bundle, [x.digest])]
    exact = facts is not None and facts.containerd_store
    sources = _images_with(layout, engine, absent, image, exact=exact)
    return plan_recovery(absent, sources, exact=exact)


def _images_with(
    layout: Layout,
    engine: Engine,
    layers: List[LayerEntry],
    but: ImageEntry,
    *,
    exact: bool,
) -> List[ImageEntry]:
    """Return the whole images of installed releases that have one of the layers."""
    wanted = {layer.digest if exact else layer.diff_id for layer in layers}
    found = {}
    for release, _ in readable_releases(layout) if wanted else ():
        for image in release.manifest.images:
            has = {x.digest if exact else x.diff_id for x in image.layers}
            if wanted & has and image.reference != but.reference:
                found[image.reference] = image
    return [image for image in found.values() if _is_whole(engine, image)]


def _is_whole(engine: Engine, image: ImageEntry) -> bool:
    try:
        return prove_image(engine, image) is None
    except SealiftError:
        return False
