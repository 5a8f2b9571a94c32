"""The receipt: what a host has, carried back so that the next bundle leaves it out.

Not signed: a wrong one makes a bundle that its host refuses before it changes
anything, for every byte that a host takes from its own store is hashed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import FrozenSet, Tuple, Union

from sealift_manifests import records, strictjson
from sealift_manifests.digests import Digest
from sealift_manifests.image_entries import LayerEntry
from sealift_manifests.index import BaseRelease
from sealift_manifests.model_entries import FileEntry
from sealift_manifests.paths import check_inner_paths, is_label, is_version
from sealift_manifests.records import require

RECEIPT_TYPE = "sealift-receipt"
RECEIPT_FORMAT = 1
MAX_RECEIPT = 256 << 20
"""The largest accepted receipt, in bytes: as much as an index may have."""

_HEAD = records.Head(
    RECEIPT_TYPE,
    RECEIPT_FORMAT,
    "a receipt of a host",
    "Name the file that `receipt` wrote on the host, or a bundle.",
    "Write the receipt with the installer of the same version.",
)

BLOB, PLAIN = "blob", "plain"
"""How a host gives a layer back: the blob byte for byte, or only its plain tar."""

_REFERENCE = re.compile(r"[!-~]{1,512}\Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")


@dataclass(frozen=True)
class HeldModel:
    """A model of a release, with those of its files that are in the store."""

    name: str
    files: Tuple[FileEntry, ...]

    def __post_init__(self) -> None:
        require(is_label(self.name), f"bad model name {self.name!r:.80}")
        check_inner_paths(file.path for file in self.files)


@dataclass(frozen=True)
class HeldLayer:
    """A layer that the engine gives back; `form` is BLOB or PLAIN.

    `digest` and `size` (bytes) are those of the layer in its bundle, `diff_id` that of
    its plain tar.
    """

    digest: Digest
    size: int
    diff_id: Digest
    form: str

    def __post_init__(self) -> None:
        require(self.form in (BLOB, PLAIN), f"unknown form {self.form!r:.80}")


@dataclass(frozen=True)
class HeldImage:
    """An image of a release that is in the engine, and the layers it gives back."""

    name: str
    reference: str
    layers: Tuple[HeldLayer, ...]

    def __post_init__(self) -> None:
        require(is_label(self.name), f"bad image name {self.name!r:.80}")
        require(_REFERENCE.match(self.reference), f"bad name {self.reference!r:.80}")


@dataclass(frozen=True)
class HeldRelease:
    """An installed release and what is there of it.

    `chunks` are digests of plain bytes in the store; one that several releases have
    stands with the first only.
    """

    name: str
    version: str
    serial: int
    root: Digest
    current: bool
    models: Tuple[HeldModel, ...]
    images: Tuple[HeldImage, ...]
    chunks: Tuple[Digest, ...]

    def __post_init__(self) -> None:
        require(is_label(self.name), f"bad bundle name {self.name!r:.80}")
        require(is_version(self.version), f"bad version {self.version!r:.80}")
        require(self.serial > 0, "serial out of range")

    @property
    def release(self) -> BaseRelease:
        """The release itself, as a delta names it."""
        return BaseRelease(self.name, self.version, self.serial, self.root)


@dataclass(frozen=True)
class Receipt:
    """What a host has, release by release; `created` is the host's time, in UTC."""

    format: int
    type: str
    created: str
    releases: Tuple[HeldRelease, ...]

    def __post_init__(self) -> None:
        require(_TIME.match(self.created), f"bad time {self.created!r:.80}")
        roots = [release.root for release in self.releases]
        require(len(roots) == len(set(roots)), "a release appears twice")


class Held:
    """What can be left out for a host that has something: chunks and whole layers."""

    def __init__(
        self,
        chunks: FrozenSet[Digest],
        blobs: FrozenSet[Digest],
        plain: FrozenSet[Digest],
    ) -> None:
        self.chunks = chunks
        self._blobs = blobs
        self._plain = plain

    @classmethod
    def of(cls, held: HeldRelease) -> Held:
        """Return what a release in a receipt gives."""
        layers = [layer for image in held.images for layer in image.layers]
        return cls(
            frozenset(held.chunks),
            frozenset(layer.digest for layer in layers if layer.form == BLOB),
            frozenset(layer.diff_id for layer in layers if layer.form == PLAIN),
        )

    @property
    def has_layers(self) -> bool:
        """Whether the engine gives any layer back."""
        return bool(self._blobs or self._plain)

    def gives(self, layer: Union[LayerEntry, HeldLayer]) -> bool:
        """Say whether the engine of that host gives this layer of another image."""
        return layer.digest in self._blobs or layer.diff_id in self._plain


def dump_receipt(receipt: Receipt) -> bytes:
    """Return the exact bytes of a receipt."""
    return strictjson.dump(records.encode(receipt))


def parse_receipt(data: bytes, where: str = "receipt.json") -> Receipt:
    """Return the receipt; raise ManifestError for anything else."""
    value = strictjson.load(data, where)
    _HEAD.check(value, where)
    return records.decode(Receipt, value, where)
