"""Take one model out of a store that Ollama keeps: its manifest and only its blobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sealift_manifests.errors import RevisionError, SourceContentError

from sealift_bundler.registry.client import LARGEST_MANIFEST

from .documents import OllamaModel, blob_path, parse_manifest
from .names import OllamaName


def find_in_store(store: Path, name: OllamaName) -> OllamaModel:
    """Return a model of a store; raise RevisionError when it is not there."""
    path = store / name.manifest_path
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_MANIFEST + 1)
    except OSError as error:
        there = ", ".join(sorted(_names(store))) or "none"
        raise RevisionError(
            f"{name.familiar} is not in the Ollama store {store} "
            f"({error.strerror}); models there: {there}",
            hint="Name one of them, or the directory that OLLAMA_MODELS says (it "
            "holds `blobs` and `manifests`; of a service often "
            "/usr/share/ollama/.ollama/models).",
        ) from error
    model = parse_manifest(data, name)
    _require_blobs(store, model)
    return model


def _require_blobs(store: Path, model: OllamaModel) -> None:
    """Tell now what packing would find: blobs that are missing or cut short."""
    faults = []
    for blob in model.blobs:
        path = store / blob_path(blob.digest)
        try:
            size = path.stat().st_size
        except OSError as error:
            faults.append(f"{path.name}: {error.strerror}")
            continue
        if size != blob.size:
            faults.append(f"{path.name}: has {size} bytes, not {blob.size}")
    if faults:
        raise SourceContentError(
            f"{model.reference.familiar} is not whole in {store}:\n  "
            + "\n  ".join(faults),
            hint="Let Ollama pull it again, or leave `store` out to fetch it from its "
            "registry.",
        )


def _names(store: Path) -> Iterator[str]:
    root = store / "manifests"
    for path in sorted(root.glob("*/*/*/*")):
        if path.is_file():
            host, namespace, model, tag = path.relative_to(root).parts
            try:
                name = OllamaName(host, f"{namespace}/{model}", tag)
            except ValueError:
                continue
            yield name.familiar
