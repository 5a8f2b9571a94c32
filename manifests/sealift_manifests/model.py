"""The manifest: what a bundle holds. Values that check themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, Iterator, Optional, Tuple

from sealift_manifests import records, strictjson
from sealift_manifests.digests import Digest
from sealift_manifests.errors import FormatVersionError, ManifestError
from sealift_manifests.paths import check_inner_paths, is_label, is_version
from sealift_manifests.references import read_reference

FORMAT = 1
BUNDLE_TYPE = "sealift-bundle"
KNOWN_FEATURES: Tuple[str, ...] = ()
"""Additions to format 1 that this reader understands, by name."""

PLATFORMS = ("linux/amd64", "linux/arm64")
LAYOUTS = ("flat", "hf-cache")
DEFAULT_BRANCH = "main"
"""What a client asks the Hub for when it names no revision."""

MAX_MANIFEST = 256 << 20
"""The largest accepted manifest.json, in bytes."""

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

_BLOB_NAME = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_CREATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")
_HUB_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}"
_REPO = re.compile(rf"(?:{_HUB_PART}/)?{_HUB_PART}\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,255}\Z")
_NOTE = re.compile(r"[ -~]{1,512}\Z")
"""Text that only people read: printable, so that showing it is safe."""


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class FileEntry:
    """A file: its path below the root of its tree, its size in bytes, its digest."""

    path: str
    size: int
    digest: Digest

    def __post_init__(self) -> None:
        _require(self.size >= 0, f"{self.path}: the size is negative")


@dataclass(frozen=True)
class ModelFile(FileEntry):
    """A file of a model.

    `blob` is the name the Hub cache gives it under `blobs/`: the LFS sha256, or
    the git sha1 of files that are not in LFS, in hex.
    """

    blob: Optional[str] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            self.blob is None or _BLOB_NAME.match(self.blob),
            f"{self.path}: {self.blob!r} is not a Hub blob name",
        )
        _require(
            len(self.blob or "") != 64 or self.blob == self.digest.hex,
            f"{self.path}: its blob name is another sha256 than its digest",
        )


@dataclass(frozen=True)
class ModelSource:
    """Where a model came from: a Hub repo at a commit, or a local path."""

    kind: str
    repo: Optional[str] = None
    revision: Optional[str] = None
    commit: Optional[str] = None

    def __post_init__(self) -> None:
        _require(self.kind in ("huggingface", "path"), f"unknown kind {self.kind!r}")
        if self.kind == "huggingface":
            _require(_REPO.match(self.repo or ""), f"bad repo {self.repo!r}")
            _require(_COMMIT.match(self.commit or ""), f"bad commit {self.commit!r}")
            check_inner_paths([self.revision or ""])
        else:
            hub = (self.repo, self.revision, self.commit)
            _require(hub == (None, None, None), "a path has no repo or revision")


@dataclass(frozen=True)
class ModelEntry:
    """A model: its files, and the layout in which a container mounts them.

    `tree` is the digest of `weights-<name>.sha256`, the checksum list of the
    mounted tree; it names the tree on the host. `accepted` lists files with code
    or pickles that the spec let in by name of the risk.
    """

    name: str
    layout: str
    source: ModelSource
    files: Tuple[ModelFile, ...]
    tree: Digest
    accepted: Tuple[str, ...] = ()
    facts: Dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(is_label(self.name), f"bad model name {self.name!r}")
        _require(self.layout in LAYOUTS, f"unknown layout {self.layout!r}")
        _require(self.files, f"model {self.name} has no files")
        check_inner_paths(file.path for file in self.files)
        if self.layout == "hf-cache":
            _require(self.source.kind == "huggingface", "hf-cache needs a Hub repo")
            self._check_hub_names()

    def _check_hub_names(self) -> None:
        """Check that no two names of the Hub cache are in each other's way."""
        check_inner_paths(sorted({self.source.revision or "", DEFAULT_BRANCH}))
        blobs: Dict[Optional[str], Digest] = {}
        for file in self.files:
            _require(file.blob, f"{file.path}: hf-cache needs a blob name")
            same = blobs.setdefault(file.blob, file.digest) == file.digest
            _require(same, f"{file.path}: two files have the blob name {file.blob}")

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def listing_name(self) -> str:
        """The bundle file that lists the checksums of the mounted tree."""
        return f"weights-{self.name}.sha256"


@dataclass(frozen=True)
class Descriptor:
    """A blob of an image, as OCI describes it."""

    media_type: str
    digest: Digest
    size: int

    def __post_init__(self) -> None:
        _require(self.size >= 0, f"blob {self.digest.short}: the size is negative")


@dataclass(frozen=True)
class LayerEntry(Descriptor):
    """A layer. `diff_id` and `diff_size` (bytes) are those of its plain tar."""

    diff_id: Digest
    diff_size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            self.media_type in LAYER_TYPES, f"layer of media type {self.media_type!r}"
        )
        _require(self.diff_size >= 0, f"layer {self.digest.short}: negative diff_size")
        _require(
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
        _require(self.kind in ("pull", "build", "engine"), f"kind {self.kind!r}")
        _require(_NOTE.match(self.reference), f"bad reference {self.reference!r}")


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
        _require(is_label(self.name), f"bad image name {self.name!r}")
        found = read_reference(self.reference)
        _require(
            found.tag and not found.digest and found.qualified == self.reference,
            f"{self.reference!r} is not a name with registry and tag",
        )
        _require(self.platform in PLATFORMS, f"unknown platform {self.platform!r}")
        _require(
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


@dataclass(frozen=True)
class Service:
    """A service of the stack: the image and the models it uses, by name."""

    name: str
    image: str
    models: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(_SERVICE.match(self.name), f"bad service name {self.name!r}")


@dataclass(frozen=True)
class StackEntry:
    """The Compose stack: its files and which of them Compose is given."""

    compose: str
    files: Tuple[FileEntry, ...]
    services: Tuple[Service, ...]
    facts: Dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_inner_paths(file.path for file in self.files)
        _require(
            self.compose in {file.path for file in self.files},
            f"the compose file {self.compose!r} is not among the stack's files",
        )
        names = {service.name for service in self.services}
        _require(len(names) == len(self.services), "a service appears twice")


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds.

    `serial` orders the bundles of one name; a host refuses a lower one than it
    has had. `facts` here and below are notes for people and for checks on the
    host: a reader may ignore those it does not know. Everything else it must know;
    `features` names additions to the format that a reader must understand.
    """

    format: int
    type: str
    name: str
    version: str
    serial: int
    platform: str
    created: str
    builder: str
    models: Tuple[ModelEntry, ...] = ()
    images: Tuple[ImageEntry, ...] = ()
    stack: Optional[StackEntry] = None
    features: Tuple[str, ...] = ()
    facts: Dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(self.type == BUNDLE_TYPE, f"type {self.type!r}")
        _require(is_label(self.name), f"bad bundle name {self.name!r}")
        _require(is_version(self.version), f"bad version {self.version!r}")
        _require(0 < self.serial <= strictjson.MAX_INTEGER, "serial out of range")
        _require(self.platform in PLATFORMS, f"unknown platform {self.platform!r}")
        _require(_CREATED.match(self.created), f"bad time {self.created!r}")
        datetime.strptime(self.created, "%Y-%m-%dT%H:%M:%SZ")
        _require(_NOTE.match(self.builder), f"bad builder {self.builder!r}")
        for what, names in (
            ("model", [m.name for m in self.models]),
            ("image", [i.name for i in self.images]),
            ("image reference", [i.reference for i in self.images]),
        ):
            _require(len(names) == len(set(names)), f"a {what} appears twice")
        for image in self.images:
            _check_image(image, self.platform)
        if self.stack:
            _check_services(self.stack, self)

    def contents(self) -> Iterator[Tuple[Digest, int, str]]:
        """Yield every file the packs must hold: digest, size, and what it is."""
        for model in self.models:
            for file in model.files:
                yield file.digest, file.size, f"model {model.name}: {file.path}"
        for image in self.images:
            for blob in image.blobs:
                yield blob.digest, blob.size, f"image {image.name}: {blob.digest.short}"
        if self.stack:
            for entry in self.stack.files:
                yield entry.digest, entry.size, f"stack: {entry.path}"


def _check_image(image: ImageEntry, platform: str) -> None:
    _require(image.platform == platform, f"image {image.name} is for another platform")
    # Else loading it could take a tag away from what the host has already.
    _require(
        image.tag.endswith(image.manifest.digest.short),
        f"the tag of {image.reference} does not end with the image's digest",
    )


def _check_services(stack: StackEntry, manifest: Manifest) -> None:
    images = {image.name for image in manifest.images}
    models = {model.name for model in manifest.models}
    for service in stack.services:
        _require(service.image in images, f"service {service.name}: unknown image")
        _require(set(service.models) <= models, f"service {service.name}: model")


def check_version(value: Any, known_features: Tuple[str, ...], where: str) -> None:
    """Refuse a document of another format, before its fields are looked at."""
    if not isinstance(value, dict) or type(value.get("format")) is not int:
        raise ManifestError(
            f"{where} does not say its format",
            hint="This is not a Sealift bundle, or it is damaged.",
        )
    features = value.get("features", [])
    unknown = (
        [str(f) for f in features if f not in known_features]
        if isinstance(features, list)
        else ["?"]
    )
    if value["format"] != FORMAT or unknown:
        what = f"format {value['format']}" + "".join(f", {f}" for f in unknown)
        raise FormatVersionError(
            f"{where} needs a reader for {what}; this one reads format {FORMAT}",
            hint="Use the installer that came with this bundle, after checking it "
            "with host tools as INSTALL.md shows.",
        )


def parse_manifest(data: bytes, where: str = "manifest.json") -> Manifest:
    """Parse a manifest whose bytes were verified."""
    value = strictjson.load(data, where)
    check_version(value, KNOWN_FEATURES, where)
    return records.decode(Manifest, value, where)


def dump_manifest(manifest: Manifest) -> bytes:
    """Return the exact bytes of manifest.json."""
    return strictjson.dump(records.encode(manifest))
