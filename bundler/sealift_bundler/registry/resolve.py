"""From an image reference to the one image it means on a platform.

Asks the registry for documents only: no layer is fetched here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import RevisionError, SourceContentError
from sealift_manifests.references import ImageReference

from .client import RegistryClient, wrong_bytes
from .documents import (
    Descriptor,
    ImageIndex,
    ImageManifest,
    Platform,
    parse_document,
    parse_platform,
    platform_of_config,
)
from .transport import HttpPolicy


@dataclass(frozen=True)
class ResolvedImage:
    """An image of one platform, known by digests all the way down.

    `manifest` and `config_bytes` are exactly what the registry served, so that
    the digests stay true wherever they are written.
    """

    reference: ImageReference
    platform: Platform
    index_digest: Digest | None
    manifest: bytes = field(repr=False)
    manifest_digest: Digest
    media_type: str
    config: Descriptor
    config_bytes: bytes = field(repr=False)
    layers: tuple[Descriptor, ...]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and the layers, each blob once."""
        by_digest = {blob.digest: blob for blob in (self.config, *self.layers)}
        return tuple(by_digest.values())

    @property
    def size(self) -> int:
        """The bytes of all blobs together."""
        return sum(blob.size for blob in self.blobs)


def resolve(
    reference: ImageReference,
    platform: str,
    *,
    insecure: frozenset[str] = frozenset(),
    policy: HttpPolicy | None = None,
) -> ResolvedImage:
    """Find out which image a reference means for a platform like `linux/amd64`."""
    wanted = parse_platform(platform)
    client = RegistryClient(reference.registry, insecure=insecure, policy=policy)
    name = f"{reference.familiar} on {reference.registry}"
    data, content_type = client.manifest(reference, reference.wanted)
    document = parse_document(data, content_type, name=name)
    index_digest = None
    if isinstance(document, ImageIndex):
        index_digest = digest_of(data)
        chosen = _choose(document, wanted, reference)
        data, document = _manifest_of_index(client, reference, chosen)
    _refuse_two_sizes(document, name)
    config_bytes = client.small_blob(reference, document.config)
    found = platform_of_config(config_bytes, name=name)
    if not found.fits(wanted):
        raise _wrong_platform(reference, wanted, [found])
    return ResolvedImage(
        reference=reference,
        platform=found,
        index_digest=index_digest,
        manifest=data,
        manifest_digest=digest_of(data),
        media_type=document.media_type,
        config=document.config,
        config_bytes=config_bytes,
        layers=document.layers,
    )


def _manifest_of_index(
    client: RegistryClient, reference: ImageReference, chosen: Descriptor
) -> tuple[bytes, ImageManifest]:
    data, content_type = client.manifest(reference, chosen.digest)
    name = f"{reference.familiar} ({chosen.digest.short}) on {reference.registry}"
    if len(data) != chosen.size:
        raise wrong_bytes(reference, f"manifest {chosen.digest.short}")
    document = parse_document(data, content_type, name=name)
    if isinstance(document, ImageIndex):
        raise SourceContentError(
            f"{name} is an index inside an index",
            hint="Name the inner index or the image itself by its digest.",
        )
    return data, document


def _choose(
    index: ImageIndex, wanted: Platform, reference: ImageReference
) -> Descriptor:
    for entry in index.entries:
        if entry.platform.fits(wanted):
            return entry.descriptor
    there = [entry.platform for entry in index.entries]
    raise _wrong_platform(reference, wanted, there)


def _wrong_platform(
    reference: ImageReference, wanted: Platform, there: Iterable[Platform]
) -> RevisionError:
    names = ", ".join(sorted({str(platform) for platform in there})) or "none"
    return RevisionError(
        f"{reference.familiar} on {reference.registry} is not there for {wanted}; "
        f"there is: {names}",
        hint="Choose one of these platforms, or another tag.",
    )


def _refuse_two_sizes(manifest: ImageManifest, name: str) -> None:
    sizes: dict[Digest, int] = {}
    for blob in (manifest.config, *manifest.layers):
        if sizes.setdefault(blob.digest, blob.size) != blob.size:
            raise SourceContentError(
                f"{name} gives the blob {blob.digest.short} two sizes",
                hint="Push the image again, or choose another tag.",
            )
