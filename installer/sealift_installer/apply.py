"""Carry out the plan of an install, up to the switch: weights and images first.

What the media here have is taken before any other is asked for, and what no source
has whole is set aside: all of it is told at the end, not the first of it.
"""

from __future__ import annotations

import os
from typing import (
    Callable,
    Dict,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    Set,
    Tuple,
)

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest
from sealift_manifests.errors import (
    DigestMismatchError,
    ImageLoadError,
    PayloadError,
)
from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.names import volume_name
from sealift_manifests.sizes import human

from sealift_installer import durable, releases, trees
from sealift_installer.data_filling import DataFilling
from sealift_installer.host import Host
from sealift_installer.image_audit import audit_image
from sealift_installer.image_recovery import Recovery
from sealift_installer.images import load_image, remove_image
from sealift_installer.layout import Layout
from sealift_installer.losses import mended
from sealift_installer.plan import InstallPlan
from sealift_installer.slot import Slot
from sealift_installer.staging import Staging
from sealift_installer.volumes import BUNDLE_LABEL, ensure_volume


def apply(
    host: Host,
    slot: Slot,
    plan: InstallPlan,
    record: Callable[[], releases.ReleaseRecord],
    taken_back: Mapping[str, Recovery],
    restore: FrozenSet[str] = frozenset(),
) -> None:
    """Carry out the plan, but for the switch.

    `taken_back` says of images, by name, which layers come out of the engine, `restore`
    which volumes of data are replaced. Raises one error for all that the media could
    not give.
    """
    layout, report, manifest = host.layout, host.report, slot.bundle.manifest
    _bring(host, slot, plan, taken_back, restore)
    for model in plan.trees:
        trees.build_tree(layout, model)
        report.step(f"model {model.name}: {human(model.size)} at {layout.tree(model)}")
    for model in plan.volumes:
        name = volume_name(manifest.name, model.name, model.tree)
        labels = {BUNDLE_LABEL: manifest.name, "sealift.model": model.name}
        ensure_volume(host.engine, name, layout.tree(model), labels)
        report.step(f"volume {name}: read-only, for model {model.name}")
    if plan.write_release:
        releases.write_release(layout, slot.bundle, record())


def settle(layout: Layout, bundle: Bundle) -> None:
    """Make the names durable that a run which was cut off may have left unsynced."""
    manifest = bundle.manifest
    places = [layout.content(f.digest) for m in manifest.models for f in m.files]
    places += [layout.tree(model) for model in manifest.models]
    places.append(layout.release(manifest, bundle.root))
    for folder in sorted({os.path.dirname(place) for place in places}):
        durable.sync_directory(folder)


def stack_digests(bundle: Bundle, plan: InstallPlan) -> FrozenSet[Digest]:
    """Return the digests of the stack's files, if the plan writes them."""
    stack = bundle.manifest.stack
    files = stack.files if stack and plan.write_release else ()
    return frozenset(file.digest for file in files)


def _bring(
    host: Host,
    slot: Slot,
    plan: InstallPlan,
    taken_back: Mapping[str, Recovery],
    restore: FrozenSet[str],
) -> None:
    """Bring weights into the store, images and data into the engine, by media."""
    names = {digest: what for digest, _, what in slot.bundle.manifest.contents()}
    small = stack_digests(slot.bundle, plan)
    images = _Images(host, slot, plan.images, taken_back, names)
    data = DataFilling(host, slot, plan.data, restore, names)
    layout, index = host.layout, slot.bundle.index
    with Staging(layout, index, plan.contents, names) as staging:
        while True:
            work = staging.plan(slot.bundle)
            if work.tasks:
                with host.report.progress("staging weights", work.size) as progress:
                    staging.run(slot.bundle, work, progress)
            lost = {*staging.missing(), *slot.keep_small(small)}
            lost |= images.load_whole() | data.fill_whole()
            for warning in mended(slot.bundle, lost):
                host.report.step(warning)
            if not lost and slot.asks:
                images.load_begun()
                data.fill_begun()
            lost |= images.lacking() | data.lacking()
            if not lost:
                return
            slot.change(lost)


class _Images:
    """The images that are still to be loaded."""

    def __init__(
        self,
        host: Host,
        slot: Slot,
        images: Tuple[ImageEntry, ...],
        taken_back: Mapping[str, Recovery],
        names: Dict[Digest, str],
    ) -> None:
        self._host = host
        self._slot = slot
        self._left: List[ImageEntry] = list(images)
        self._taken_back = taken_back
        self._names = names

    def lacking(self) -> Set[int]:
        """Return the chunks of these images that no medium here has."""
        return {n for image in self._left for n in self._slot.lacks(self._blobs(image))}

    def load_whole(self) -> Set[int]:
        """Load those that the media here have; return the chunks that were bad."""
        bad: Set[int] = set()
        for image in tuple(self._left):
            if self._slot.has(self._blobs(image)):
                try:
                    self._load(image)
                except (DigestMismatchError, PayloadError):
                    found = self._slot.measure(self._blobs(image))
                    if not found:
                        raise
                    bad |= found
        return bad

    def load_begun(self) -> None:
        """Load those that the media here have a part of, asking for the other parts."""
        for image in tuple(self._left):
            blobs = self._blobs(image)
            if any(self._slot.rank(digest) < 2 for digest in blobs):
                self._load(image)

    def _load(self, image: ImageEntry) -> None:
        """Load an image. One that is there was found damaged: the engine keeps it."""
        engine = self._host.engine
        replaced = remove_image(engine, image)
        task = f"loading image {image.name}"
        recovery = self._taken_back.get(image.name)
        size = recovery.archive_size(image) if recovery else image.size
        with self._host.report.progress(task, size) as progress:

            def read(digest: Digest) -> Iterator[memoryview]:
                progress.at(self._names[digest])
                return self._slot.read_content(digest)

            rank = self._slot.rank
            load_image(engine, image, read, progress, rank=rank, recovery=recovery)
        faults = audit_image(engine, image) if replaced else []
        if faults:
            raise ImageLoadError(
                f"the engine kept damaged layers of image {image.name}: {faults[0]}",
                hint="Other images hold them as well. Remove those that have the "
                "layers of this one (`docker images --all`), then run this again.",
            )
        self._left.remove(image)

    def _blobs(self, image: ImageEntry) -> FrozenSet[Digest]:
        """Return the blobs of an image that the media must have."""
        recovery = self._taken_back.get(image.name)
        taken = {layer.digest for layer in recovery.layers} if recovery else set()
        return frozenset(blob.digest for blob in image.blobs) - taken
