"""Container images as a manifest lists them. Values that check themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

from sealift_manifests.digests import Digest
from sealift_manifests.paths import is_label, is_note
from sealift_manifests.records import require
from sealift_manifests.references import read_reference

PLATFORMS = ("linux/amd64", "linux/arm64")

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
LAYER_TYPES = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)


@dataclass(frozen=True)
class Descriptor:
    """A blob of an image, as OCI describes it."""

    media_type: str
    digest: Digest
    size: int

    def __post_init__(self) -> None:
        require(self.size >= 0, f"blob {self.digest.short}: the size is negative")


@dataclass(frozen=True)
class LayerEntry(Descriptor):
    """A layer. `diff_id` and `diff_size` (bytes) are those of its plain tar."""

    diff_id: Digest
    diff_size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.media_type in LAYER_TYPES, f"layer of media type {self.media_type!r}"
        )
        require(self.diff_size >= 0, f"layer {self.digest.short}: negative diff_size")
        require(
            self.media_type.endswith("gzip")
            or (self.diff_id, self.diff_size) == (self.digest, self.size),
            f"layer {self.digest.short} is plain, but its diff_id is another digest",
        )


@dataclass(frozen=True)
class ImageSource:
    """Where an image came from: `pull`, `build` or `engine`.

    `reference` is what the spec named; `index_digest` that of the multi-platform
    index, where the registry had one.
    """

    kind: str
    reference: str
    index_digest: Optional[Digest] = None

    def __post_init__(self) -> None:
        require(self.kind in ("pull", "build", "engine"), f"kind {self.kind!r}")
        require(is_note(self.reference), f"bad reference {self.reference!r}")


@dataclass(frozen=True)
class ImageEntry:
    """A container image, known by the digest of its config.

    `reference` is the fully qualified name it is loaded under, with a tag that
    no other image has. Never compare an engine's `.Id` with one digest only:
    graph drivers report the config's, the containerd store the manifest's.
    """

    name: str
    reference: str
    source: ImageSource
    platform: str
    manifest: Descriptor
    config: Descriptor
    layers: Tuple[LayerEntry, ...]
    facts: Dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(is_label(self.name), f"bad image name {self.name!r}")
        found = read_reference(self.reference)
        require(
            found.tag and not found.digest and found.qualified == self.reference,
            f"{self.reference!r} is not a name with registry and tag",
        )
        require(self.platform in PLATFORMS, f"unknown platform {self.platform!r}")
        require(
            self.manifest.media_type in MANIFEST_TYPES
            and self.config.media_type in CONFIG_TYPES,
            f"image {self.name} has a manifest or config of an unknown media type",
        )

    @property
    def tag(self) -> str:
        """The tag it is loaded under."""
        return self.reference.rpartition(":")[2]

    @property
    def blobs(self) -> Tuple[Descriptor, ...]:
        """Every blob: manifest, config, then layers bottom up."""
        return (self.manifest, self.config, *self.layers)

    @property
    def size(self) -> int:
        """Bytes of all blobs together, each once."""
        return sum({blob.digest: blob.size for blob in self.blobs}.values())
