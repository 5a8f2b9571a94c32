"""What a delta builds on: receipts of hosts, and bundles that hosts have installed.

Reads them, and says which chunks and which layers a host gives back. A base is taken
at its word: a host that lacks something refuses the delta before it changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest
from sealift_manifests.errors import ManifestError, PayloadError, UsageError
from sealift_manifests.image_entries import LayerEntry
from sealift_manifests.index import BaseRelease, Index
from sealift_manifests.media import Media
from sealift_manifests.model import Manifest
from sealift_manifests.receipt import MAX_RECEIPT, Held, Receipt, parse_receipt

from sealift_bundler.opening import open_to_look


@dataclass(frozen=True)
class Base:
    """A release that hosts have, and what it gives."""

    release: BaseRelease
    held: Held


class Bases:
    """All that a delta builds on; without any base, a build is complete.

    Each of `hosts` is what one receipt says of one host: what is left out, all of them
    have. `bundles` are installed on every host, whatever its receipt says.
    """

    def __init__(
        self, bundles: Sequence[Base] = (), hosts: Sequence[Sequence[Base]] = ()
    ) -> None:
        self._bundles, self._hosts = bundles, hosts
        self._all = [*bundles, *(base for host in hosts for base in host)]
        in_all = [_chunks_of(host) for host in hosts]
        self.chunks = _chunks_of(bundles).union(
            frozenset.intersection(*in_all) if in_all else ()
        )
        """The plain chunks that every host has in its store."""

    @property
    def have_layers(self) -> bool:
        """Whether any host gives any layer back."""
        return any(base.held.has_layers for base in self._all)

    def gives(self, layer: LayerEntry) -> bool:
        """Say whether every host's engine gives this layer back."""
        if any(base.held.gives(layer) for base in self._bundles):
            return True
        found = [any(base.held.gives(layer) for base in host) for host in self._hosts]
        return bool(found) and all(found)

    def used(self, index: Index, manifest: Manifest) -> tuple[BaseRelease, ...]:
        """Return the releases that have what an index leaves out.

        Each chunk and layer is looked for in the order in which bases were given.
        """
        left = {chunk.digest for chunk in index.chunks if chunk.is_base}
        found: dict[BaseRelease, None] = {}
        for base in self._all:
            if common := left & base.held.chunks:
                left -= common
                found[base.release] = None
        if left:
            found |= self._with_layers(_cut_layers(index, manifest, left))
        return tuple(found)

    def _with_layers(self, layers: Iterable[LayerEntry]) -> dict[BaseRelease, None]:
        return {
            next(b.release for b in self._all if b.held.gives(layer)): None
            for layer in layers
        }


def _cut_layers(
    index: Index, manifest: Manifest, left: set[Digest]
) -> Iterable[LayerEntry]:
    """Yield the layers that have one of these chunks."""
    for image in manifest.images:
        for layer in image.layers:
            numbers = index.contents[layer.digest].chunks
            if any(index.chunks[number].digest in left for number in numbers):
                yield layer


def _chunks_of(bases: Sequence[Base]) -> frozenset[Digest]:
    return frozenset[Digest]().union(*(base.held.chunks for base in bases))


def read_bases(paths: Sequence[Path]) -> Bases:
    """Read receipts of hosts and bundles that all of them have."""
    bundles: list[Base] = []
    hosts: list[list[Base]] = []
    for path in paths:
        found = read_receipt_or_bundle(path)
        if isinstance(found, Receipt):
            hosts.append([Base(held.release, Held.of(held)) for held in found.releases])
        else:
            bundles.append(Base(release_of(found), held_by(found)))
    return Bases(bundles, hosts)


def release_of(bundle: Bundle) -> BaseRelease:
    """Return a bundle as the release that a host has of it."""
    what = bundle.manifest
    return BaseRelease(what.name, what.version, what.serial, bundle.root)


def held_by(bundle: Bundle) -> Held:
    """Return what a host gives that has this bundle whole.

    Which engine it has is not known, so of layers only the very blobs count: an engine
    gives back these, or their plain tars, which stand for the same blobs.
    """
    contents, chunks = bundle.index.contents, bundle.index.chunks
    files = [file for model in bundle.manifest.models for file in model.files]
    numbers = {n for file in files for n in contents[file.digest].chunks}
    layers = [layer for image in bundle.manifest.images for layer in image.layers]
    return Held(
        frozenset(chunks[number].digest for number in numbers),
        frozenset(layer.digest for layer in layers),
        frozenset(),
    )


def read_receipt_or_bundle(path: Path) -> Receipt | Bundle:
    """Return what lies at a path: the receipt of a host, or a bundle to look into.

    A bundle needs no packs. Raises UsageError for what is neither.
    """
    data = _receipt_bytes(path) if path.is_file() else None
    if data is not None:
        return parse_receipt(data, str(path))
    try:
        with Media([str(path)]) as media:
            return open_to_look(media)
    except PayloadError as error:
        raise UsageError(
            f"{path} is neither a receipt nor a bundle: {error.message}",
            hint="Name what `receipt` wrote on a host, or the directory or .tar of a "
            "bundle; of its files, the packs may be missing.",
        ) from error


def _receipt_bytes(path: Path) -> bytes | None:
    """Return a file that begins as JSON does, or None for another."""
    try:
        with path.open("rb") as file:
            if file.read(1) != b"{":
                return None
            if path.stat().st_size > MAX_RECEIPT:
                raise ManifestError(
                    f"{path} is too large for a receipt",
                    hint="Take the receipt on the host again.",
                )
            return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            hint="Name a receipt or a bundle that this user may read.",
        ) from error
