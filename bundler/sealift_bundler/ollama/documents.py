"""The manifest of an Ollama model: which blobs it is made of. Bytes to value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import SourceContentError
from sealift_manifests.image_entries import CONFIG_TYPES

from sealift_bundler.registry.documents import Descriptor, read_descriptors

from .names import OllamaName

KIND = "application/vnd.ollama.image."
"""How the kinds of layers begin."""

_WEIGHTS = (f"{KIND}model", f"{KIND}tensor")


@dataclass(frozen=True)
class OllamaModel:
    """A model by its name, the exact bytes of its manifest, and its blobs."""

    reference: OllamaName
    manifest: bytes = field(repr=False)
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def digest(self) -> Digest:
        """The digest of the manifest: it names exactly this model."""
        return digest_of(self.manifest)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and the layers, each blob once."""
        by_digest = {blob.digest: blob for blob in (self.config, *self.layers)}
        return tuple(by_digest.values())

    @property
    def size(self) -> int:
        """The bytes of all files together, the manifest's too."""
        return len(self.manifest) + sum(blob.size for blob in self.blobs)

    @property
    def weights(self) -> tuple[Descriptor, ...]:
        """The layers that hold weights."""
        return tuple(layer for layer in self.layers if layer.media_type in _WEIGHTS)


def blob_path(digest: Digest) -> str:
    """Return where a store keeps a blob, below its root."""
    return f"blobs/sha256-{digest.hex}"


def parse_manifest(data: bytes, name: OllamaName) -> OllamaModel:
    """Read a manifest; raise SourceContentError for what Ollama could not load."""
    where = f"Ollama model {name.familiar}"
    config, layers = read_descriptors(data, name=where)
    model = OllamaModel(name, data, config, layers)
    if faults := list(_faults(model)):
        raise SourceContentError(
            f"{where} cannot be carried: {'; '.join(faults)}",
            hint="Choose another model or tag: it must have weights of its own.",
        )
    return model


def _faults(model: OllamaModel) -> Iterator[str]:
    if model.config.media_type not in CONFIG_TYPES:
        yield f"its config has the unknown kind {model.config.media_type[:80]!r}"
    for layer in model.layers:
        if not layer.media_type.startswith(KIND):
            yield f"it has a layer of the unknown kind {layer.media_type[:80]!r}"
    if not model.weights:
        yield "it has no weights; models that are served elsewhere have none"
    sizes: dict[Digest, int] = {}
    for blob in (model.config, *model.layers):
        if sizes.setdefault(blob.digest, blob.size) != blob.size:
            yield f"the blob {blob.digest.short} has two sizes"
