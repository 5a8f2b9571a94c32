"""Manifests, indexes and configs: bytes to values, nothing fetched.

Takes Docker schema 2 and OCI. Says no to what could be read in two ways, and
to layers that an engine could not load offline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sealift_manifests.digests import Digest
from sealift_manifests.errors import SourceContentError, SpecError
from sealift_manifests.image_entries import CONFIG_TYPES, LAYER_TYPES, MANIFEST_TYPES

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_ATTESTATION = "vnd.docker.reference.type"
_USUAL_VARIANT = {"arm64": "v8", "amd64": "v1"}
_LARGEST_SIZE = 1 << 53

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Descriptor:
    """What a document says of a blob: its kind, its identity and its size."""

    media_type: str
    digest: Digest
    size: int


@dataclass(frozen=True)
class Platform:
    """The system and processor that an image is for."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def fits(self, other: Platform) -> bool:
        """Whether both mean the same machine; arm64 is arm64/v8."""
        return self._full() == other._full()

    def _full(self) -> tuple[str, str, str]:
        usual = _USUAL_VARIANT.get(self.architecture, "")
        return self.os, self.architecture, self.variant or usual


@dataclass(frozen=True)
class IndexEntry:
    """One image of an index."""

    descriptor: Descriptor
    platform: Platform


@dataclass(frozen=True)
class ImageIndex:
    """An index or manifest list, without attestations and nested indexes."""

    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True)
class ImageManifest:
    """The manifest of one image for one platform."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


def parse_platform(text: str) -> Platform:
    """Read `OS/ARCHITECTURE[/VARIANT]`."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise SpecError(
            f"{text[:80]!r} is not a platform",
            hint="Write it as linux/amd64 or linux/arm64.",
        )
    return Platform(*parts)


def parse_document(
    data: bytes, content_type: str, *, name: str
) -> ImageIndex | ImageManifest:
    """Read a manifest or an index. `name` is how errors speak of it."""
    document = _load(data, name)
    media_type = _media_type(document, content_type, name)
    if media_type in INDEX_TYPES:
        return ImageIndex(_entries(document, name))
    config = _descriptor(member(document, "config", name), f"the config of {name}")
    if config.media_type not in CONFIG_TYPES:
        raise _refused(
            f"{name} is not a container image: its config is {config.media_type!r}",
            "Name an image. Charts, models and other artifacts cannot be carried so.",
        )
    layers = tuple(
        _layer(value, f"layer {number} of {name}")
        for number, value in enumerate(_array(document, "layers", name), start=1)
    )
    return ImageManifest(media_type, config, layers)


def read_descriptors(
    data: bytes, *, name: str
) -> tuple[Descriptor, tuple[Descriptor, ...]]:
    """Return config and layers of a manifest of any artifact, whatever their kinds."""
    document = _load(data, name)
    layers = enumerate(_array(document, "layers", name), start=1)
    return (
        _descriptor(member(document, "config", name), f"the config of {name}"),
        tuple(_descriptor(value, f"layer {n} of {name}") for n, value in layers),
    )


def platform_of_config(data: bytes, *, name: str) -> Platform:
    """Return the platform that an image config says it is for."""
    config = _load(data, f"the config of {name}")
    return _platform(config, f"the config of {name}")


def diff_ids_of_config(data: bytes, *, name: str) -> tuple[Digest, ...]:
    """Return the digests of the uncompressed layers, lowest first."""
    where = f"the config of {name}"
    rootfs = member(_load(data, where), "rootfs", where)
    if not isinstance(rootfs, dict):
        raise _malformed(where, "has no rootfs")
    return tuple(_digest(text, where) for text in _array(rootfs, "diff_ids", where))


def member(document: Mapping[str, Any], key: str, name: str) -> Any:
    """Return a member, or None. Go, and so engines, would take it in any case."""
    for other in document:
        if other != key and other.casefold() == key.casefold():
            raise _malformed(
                name, f"has the key {other!r}, which engines read as {key!r}"
            )
    return document.get(key)


def _load(data: bytes, name: str) -> JsonObject:
    try:
        document = json.loads(data, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise _malformed(name, "is not JSON with unique keys") from error
    if not isinstance(document, dict):
        raise _malformed(name, "is not a JSON object")
    return document


def _without_duplicates(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _media_type(document: JsonObject, content_type: str, name: str) -> str:
    """Decide what a document is; its own word goes before the server's."""
    header = content_type.partition(";")[0].strip().lower()
    own = member(document, "mediaType", name)
    found = own if own is not None else header
    schema = member(document, "schemaVersion", name)
    if schema == 1 or str(found).startswith(_SCHEMA_1):
        raise _refused(
            f"{name} is in Docker's schema 1, which engines no longer load",
            "Push the image again with a current Docker, or choose a newer tag.",
        )
    is_index = member(document, "manifests", name) is not None
    is_manifest = any(member(document, key, name) for key in ("config", "layers"))
    if schema != 2 or is_index == is_manifest:
        raise _malformed(name, "is neither an image manifest nor an index")
    known = INDEX_TYPES if is_index else MANIFEST_TYPES
    if own is not None and own not in known:
        raise _malformed(name, f"says that it is {str(own)[:100]!r}, but is not")
    return found if found in known else known[0]


def _entries(document: JsonObject, name: str) -> tuple[IndexEntry, ...]:
    entries = []
    for value in _array(document, "manifests", name):
        descriptor = _descriptor(value, f"an entry of {name}")
        platform = member(value, "platform", name)
        annotations = member(value, "annotations", name) or {}
        if (
            descriptor.media_type not in MANIFEST_TYPES
            or not isinstance(platform, dict)
            or not isinstance(annotations, dict)
            or _ATTESTATION in annotations
            or platform.get("os") == "unknown"
        ):
            continue
        entries.append(IndexEntry(descriptor, _platform(platform, name)))
    return tuple(entries)


def _platform(document: JsonObject, name: str) -> Platform:
    keys = ("os", "architecture", "variant")
    values = [member(document, key, name) or "" for key in keys]
    if not all(isinstance(value, str) for value in values) or not all(values[:2]):
        raise _malformed(name, "does not say its platform")
    return Platform(*values)


def _layer(value: Any, name: str) -> Descriptor:
    layer = _descriptor(value, name)
    kind = layer.media_type
    if kind in LAYER_TYPES:
        return layer
    if "zstd" in kind:
        raise _refused(
            f"{name} ({layer.digest.short}) is compressed with zstd, which Docker "
            "Engine before 23.0 cannot load",
            "Build the image with gzip layers (buildx: compression=gzip,"
            "force-compression=true), or let an engine that has pulled it be the "
            "source: engine:IMAGE.",
        )
    if "foreign" in kind or "nondistributable" in kind:
        raise _refused(
            f"{name} ({layer.digest.short}) is marked as not to be distributed",
            "Such layers may not be carried in a bundle. Choose another base image.",
        )
    raise _refused(
        f"{name} ({layer.digest.short}) has the unknown kind {kind[:100]!r}",
        "Only plain and gzip layers of Docker and OCI images can be carried.",
    )


def _descriptor(value: Any, name: str) -> Descriptor:
    if not isinstance(value, dict):
        raise _malformed(name, "has no descriptor")
    kind, size = member(value, "mediaType", name), member(value, "size", name)
    if not isinstance(kind, str):
        raise _malformed(name, "does not say its media type")
    if type(size) is not int or not 0 <= size < _LARGEST_SIZE:
        raise _malformed(name, "does not say its size")
    return Descriptor(kind, _digest(member(value, "digest", name), name), size)


def _digest(value: Any, name: str) -> Digest:
    try:
        return Digest(value)
    except (ValueError, TypeError) as error:
        raise _malformed(
            name, "names something by other than a sha256 digest"
        ) from error


def _array(document: Mapping[str, Any], key: str, name: str) -> list[Any]:
    value = member(document, key, name)
    if not isinstance(value, list):
        raise _malformed(name, f"has no list {key!r}")
    return value


def _malformed(name: str, what: str) -> SourceContentError:
    return _refused(
        f"{name} {what}",
        "The registry serves something broken. Push the image again, or choose "
        "another tag.",
    )


def _refused(message: str, hint: str) -> SourceContentError:
    return SourceContentError(message, hint=hint)
