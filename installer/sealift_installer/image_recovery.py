"""Layers that a delta leaves out, taken back from an engine that has them.

An image that is there already is exported, and the layers that are wanted pass from
the export into the archive of the new image, measured on the way; nothing lies on the
disk in between. An engine with the containerd store gives its blobs back byte for
byte. One with a graph driver has unpacked them: it gives plain tars, whose digests are
the diff IDs. There an image is known by its config, which names exactly these, so the
plain tar is as good. What the archive lacks at its end, the engine never gets.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import (
    IO,
    Callable,
    ContextManager,
    Dict,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
)

from sealift_manifests import ustar
from sealift_manifests.digests import Buffer, Digest, from_hex
from sealift_manifests.errors import BaseMissingError, ImageLoadError
from sealift_manifests.image_entries import ImageEntry, LayerEntry

from sealift_installer.engine import EngineRefusedError, printable
from sealift_installer.image_archive import (
    ReadBlob,
    measured_blob,
    member_name,
    oci_texts,
)

_PIECE = 1 << 20

OpenExport = Callable[[ImageEntry], ContextManager[IO[bytes]]]
"""Opens the engine's export of an image, to be read once."""


@dataclass(frozen=True)
class Recovery:
    """Which layers of an image come from the exports of which other images.

    `exact`: the engine gives and wants the very blobs; else their plain tars.
    """

    layers: Tuple[LayerEntry, ...]
    sources: Tuple[ImageEntry, ...]
    exact: bool

    @property
    def passing(self) -> int:
        """Bytes that pass from the exports into the archive."""
        sizes = {self.key(layer): self.size(layer) for layer in self.layers}
        return sum(sizes.values())

    def archive_size(self, image: ImageEntry) -> int:
        """Return the bytes of all blobs and layers in the archive of `image`."""
        taken = {layer.digest: layer.size for layer in self.layers}
        return image.size - sum(taken.values()) + self.passing

    def key(self, layer: LayerEntry) -> Digest:
        """Return the digest by which the engine gives this layer."""
        return layer.digest if self.exact else layer.diff_id

    def size(self, layer: LayerEntry) -> int:
        """Return the size in bytes in which the engine gives this layer."""
        return layer.size if self.exact else layer.diff_size


def plan_recovery(
    wanted: Sequence[LayerEntry], images: Sequence[ImageEntry], *, exact: bool
) -> Tuple[Recovery, Tuple[LayerEntry, ...]]:
    """Choose images that have these layers; return the plan and what none has.

    The image with most of what is left is taken first, so that few are exported.
    """
    plan = Recovery(tuple(wanted), (), exact)
    left = {plan.key(layer): layer for layer in wanted}
    sources: List[ImageEntry] = []
    while left and images:
        best = max(images, key=lambda each: len(_common(plan, each, left)))
        common = _common(plan, best, left)
        if not common:
            break
        sources.append(best)
        for key in common:
            del left[key]
    return Recovery(tuple(wanted), tuple(sources), exact), tuple(left.values())


def _common(
    plan: Recovery, image: ImageEntry, left: Dict[Digest, LayerEntry]
) -> List[Digest]:
    return sorted({plan.key(layer) for layer in image.layers} & set(left))


def recovered_archive(
    image: ImageEntry, read_blob: ReadBlob, plan: Recovery, open_export: OpenExport
) -> Iterator[Buffer]:
    """Yield an archive of `image`, its missing layers out of the engine's exports.

    Raises BaseMissingError before the archive is whole if the exports lack one.
    """
    taken = {layer.digest for layer in plan.layers}
    own = {blob.digest: blob for blob in image.blobs if blob.digest not in taken}
    if not plan.exact:
        # It names blobs that the archive does not have; a graph driver never asks.
        own.pop(image.manifest.digest, None)
    for blob in own.values():
        yield ustar.header(member_name(blob.digest), blob.size)
        yield from measured_blob(image, blob, read_blob)
        yield ustar.padding(blob.size)
    passage = _Passage(plan)
    for source in plan.sources:
        yield from _export(source, open_export, passage)
    passage.require_all(image)
    for name, content in _texts(image, plan, passage.paths):
        yield ustar.header(name, len(content)) + content + ustar.padding(len(content))
    yield ustar.END


def _export(
    source: ImageEntry, open_export: OpenExport, passage: _Passage
) -> Iterator[Buffer]:
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(open_export(source))
        except EngineRefusedError as refusal:
            # Graph drivers compare each file with what they unpacked once.
            what = f"image {source.reference} ({refusal.message})"
            raise _not_given(what) from refusal
        yield from passage.take(stream, source)


class _Passage:
    """Lets the wanted layers of exports pass; `paths` is where each then lies."""

    def __init__(self, plan: Recovery) -> None:
        self._plan = plan
        self._sizes = {plan.key(layer): plan.size(layer) for layer in plan.layers}
        self._count = 0
        self.paths: Dict[Digest, str] = {}

    def take(self, stream: IO[bytes], source: ImageEntry) -> Iterator[Buffer]:
        """Yield what may be wanted of an export as members of another archive."""
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=_PIECE) as tar:
                for member in tar:
                    name = self._name(member)
                    content = tar.extractfile(member) if name else None
                    if name and content:
                        yield ustar.header(name, member.size)
                        yield from self._measured(name, content)
                        yield ustar.padding(member.size)
        except tarfile.TarError as error:
            raise ImageLoadError(
                f"the engine's export of image {source.reference} is damaged: "
                f"{printable(error)}",
                hint="Run `audit` on the installed release; see the engine's log.",
            ) from error

    def _name(self, member: tarfile.TarInfo) -> Optional[str]:
        """Return the name under which a member passes; None for what is not wanted.

        Engines up to Docker 24 name layers by random IDs, so only the size can tell
        which may be wanted; the digest then says which it was.
        """
        if not member.isreg():
            return None
        left = {d: size for d, size in self._sizes.items() if d not in self.paths}
        if self._plan.exact:
            base = posixpath.basename(member.name)
            found = [d for d in left if (d.hex, left[d]) == (base, member.size)]
            return member_name(found[0]) if found else None
        if member.size not in left.values():
            return None
        self._count += 1
        return f"recovered/{self._count}/layer.tar"

    def _measured(self, name: str, content: IO[bytes]) -> Iterator[Buffer]:
        state = hashlib.sha256()
        piece = content.read(_PIECE)
        while piece:
            state.update(piece)
            yield piece
            piece = content.read(_PIECE)
        digest = from_hex(state.hexdigest())
        if digest in self._sizes:
            self.paths.setdefault(digest, name)
        elif self._plan.exact:
            raise _not_given(name)

    def require_all(self, image: ImageEntry) -> None:
        """Raise BaseMissingError unless every wanted layer has passed."""
        for layer in self._plan.layers:
            if self._plan.key(layer) not in self.paths:
                raise _not_given(f"layer {layer.diff_id} of image {image.name}")


def _not_given(what: str) -> BaseMissingError:
    return BaseMissingError(
        f"the engine does not give back {what} as it was signed",
        hint="Run `audit`: it names damaged images. Mend them with `install --repair` "
        "of the bundle that brought them; or send a new `receipt` of this host and ask "
        "for a bundle that is built with it.",
    )


def _texts(
    image: ImageEntry, plan: Recovery, paths: Dict[Digest, str]
) -> Tuple[Tuple[str, bytes], ...]:
    if plan.exact:
        return oci_texts(image)
    layers = [
        paths[layer.diff_id] if layer in plan.layers else member_name(layer.digest)
        for layer in image.layers
    ]
    listing = {
        "Config": member_name(image.config.digest),
        "RepoTags": [image.reference],
        "Layers": layers,
    }
    return (("manifest.json", json.dumps([listing]).encode("ascii")),)
