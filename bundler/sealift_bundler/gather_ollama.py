"""Bring Ollama's models onto this machine, as the store that a container mounts.

The models of one key share a store: `blobs/` and `manifests/`, and nothing else of
where they come from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sealift_manifests.digests import Buffer, Digest, digest_of
from sealift_manifests.errors import LockDriftError, SourceContentError
from sealift_manifests.model_entries import ModelSource

from sealift_bundler.gather_created import resolve_created
from sealift_bundler.lock import OllamaPin, ollama_place
from sealift_bundler.models.files import ModelFile
from sealift_bundler.ollama.documents import OllamaModel, blob_path, parse_manifest
from sealift_bundler.ollama.names import OllamaName, read_name
from sealift_bundler.ollama.store import find_in_store
from sealift_bundler.pack_models import GatheredModel, SourceFile, inspect_files
from sealift_bundler.registry import fetch
from sealift_bundler.registry.client import RegistryClient
from sealift_bundler.spec_ollama import OllamaSpec
from sealift_bundler.workplace import Workplace


@dataclass(frozen=True)
class OllamaModels:
    """The models of one key of the spec; `store` is where they lie, if here.

    `places` are the blobs of those that are made here, wherever the others are.
    """

    models: tuple[OllamaModel, ...]
    store: Path | None = None
    places: Mapping[Digest, Path] = field(default_factory=dict)

    @property
    def names(self) -> str:
        """Their names, for people."""
        return ", ".join(model.reference.familiar for model in self.models)

    @property
    def pulled(self) -> tuple[OllamaModel, ...]:
        """The models that come from a registry."""
        if self.store:
            return ()
        return tuple(m for m in self.models if m.config.digest not in self.places)

    def listed(self) -> Iterator[ModelFile]:
        """Yield each file of the store, once; only blobs of a local one are here."""
        blobs = {blob.digest: blob for model in self.models for blob in model.blobs}
        for blob in blobs.values():
            path, place = blob_path(blob.digest), self.places.get(blob.digest)
            if place or self.store:
                yield ModelFile.at(path, place or (self.store or Path()) / path)
            else:
                yield ModelFile.not_here(path, blob.size)
        for model in self.models:
            path = model.reference.manifest_path
            yield ModelFile.not_here(path, len(model.manifest))


def resolve_ollama(key: str, wanted: OllamaSpec, place: Workplace) -> OllamaModels:
    """Return what the names mean now: manifests, of which the blobs are known."""
    found = []
    for written in wanted.models:
        name = read_name(written)
        pinned = _pinned(key, written, place)
        model = (
            find_in_store(wanted.store, name)
            if wanted.store
            else _ask(name, pinned, place)
        )
        if pinned and model.digest != pinned and wanted.store is None:
            raise _moved(written, pinned, model.digest)
        place.report.step(f"model {key}: {written} is {model.digest.short}")
        found.append(model)
    places: dict[Digest, Path] = {}
    for made in wanted.create:
        model, blobs = resolve_created(key, made, place)
        place.report.step(f"model {key}: {made.model} is {model.digest.short}")
        found.append(model)
        places |= blobs
    return OllamaModels(tuple(found), wanted.store, places)


def ollama_pins(key: str, found: OllamaModels) -> Iterator[OllamaPin]:
    """Yield what the lock is to say of these models."""
    for model in found.models:
        yield OllamaPin(key, model.reference.familiar, model.digest)


def gather_ollama(key: str, found: OllamaModels, place: Workplace) -> GatheredModel:
    """Return the store of these models, every file of it here."""
    places = {**found.places}
    if found.pulled:
        places |= _fetch(key, found, place)
    files: dict[str, SourceFile] = {}
    for model in found.models:
        for blob in model.blobs:
            path = blob_path(blob.digest)
            source = places.get(blob.digest) or (found.store or Path()) / path
            check = BlobCheck(source, blob.digest)
            files[path] = SourceFile(path, source, blob.size, check=check)
        path = model.reference.manifest_path
        source = _keep(model, place)
        check = BlobCheck(source, model.digest)
        files[path] = SourceFile(path, source, len(model.manifest), check=check)
    whole = tuple(files[path] for path in sorted(files))
    accepted, facts = inspect_files(key, whole, frozenset())
    facts["ollama"] = {model.reference.familiar: model.digest for model in found.models}
    return GatheredModel(key, "flat", ModelSource("path"), whole, accepted, facts)


class BlobCheck:
    """Compares a file with the digest that it is named by."""

    wants_bytes = False

    def __init__(self, source: Path, digest: Digest) -> None:
        self._source = source
        self._digest = digest

    def update(self, buffer: Buffer) -> None:
        """Take nothing: the packer's own digest is enough."""

    def finish(self) -> None:
        """Compare nothing, for the same reason."""

    def finish_with(self, size: int, digest: Digest) -> None:
        """Raise SourceContentError unless the bytes are those of the name."""
        if digest != self._digest:
            raise SourceContentError(
                f"{self._source} holds other bytes than its name says "
                f"({digest.short}, {size} bytes)",
                hint="It is damaged. Remove it, let Ollama or the next build fetch it "
                "again, and build again.",
            )


def _pinned(key: str, written: str, place: Workplace) -> Digest | None:
    if place.update:
        return None
    pin = place.lock.pin_for(ollama_place(key, read_name(written).familiar))
    return pin.manifest_digest if isinstance(pin, OllamaPin) else None


def _ask(name: OllamaName, pinned: Digest | None, place: Workplace) -> OllamaModel:
    """Return what the registry has under a name; what is pinned and here, from here."""
    if pinned:
        try:
            data = _kept(place, pinned).read_bytes()
        except OSError:
            data = b""
        if digest_of(data) == pinned:
            return parse_manifest(data, name)
    client = RegistryClient(name.registry, insecure=place.insecure)
    data, _ = client.manifest(name, name.wanted)
    return parse_manifest(data, name)


def _moved(written: str, pinned: Digest, found: Digest) -> LockDriftError:
    return LockDriftError(
        f"{written} means another model now: {found.short}, the lock has "
        f"{pinned.short}, and the registry serves models by tag only",
        hint="Look at what changed; then build with --update to accept it.",
    )


def _fetch(key: str, found: OllamaModels, place: Workplace) -> dict[Digest, Path]:
    places: dict[Digest, Path] = {}
    total = sum(model.size for model in found.pulled)
    with place.report.progress(f"fetching model {key}", total) as progress:
        for model in found.pulled:
            done = 0

            def tell(so_far: int) -> None:
                nonlocal done
                progress(so_far - done)
                done = so_far

            places |= fetch(model, place.cache / "blobs", tell, insecure=place.insecure)
    return places


def _kept(place: Workplace, digest: Digest) -> Path:
    return place.cache / "blobs" / "sha256" / digest.hex


def _keep(model: OllamaModel, place: Workplace) -> Path:
    """Write a manifest beside the blobs in the cache, whole or not at all."""
    path = _kept(place, model.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(model.manifest)
    beside.replace(path)
    return path
