"""Small honest Ollama models: in a real registry, or in a store as Ollama keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from making import noise
from registries import DOCKER_CONFIG, DOCKER_MANIFEST, Registry, descriptor, sha256

KIND = "application/vnd.ollama.image"


@dataclass(frozen=True)
class MadeModel:
    """A model's manifest and its blobs, by kind."""

    manifest: bytes
    config: bytes
    layers: Mapping[str, bytes]

    @property
    def blobs(self) -> dict[str, bytes]:
        """The blobs by the names that a store gives them."""
        data = (self.config, *self.layers.values())
        return {sha256(each).replace(":", "-"): each for each in data}


def make_model(seed: str, **layers: bytes) -> MadeModel:
    """Make a model with weights of its own; `layers` are further ones, by kind."""
    config = json.dumps({"model_format": "gguf", "seed": seed}).encode()
    held = {"model": b"GGUF" + noise(seed, 300_000), **layers}
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": descriptor(config, DOCKER_CONFIG),
        "layers": [descriptor(data, f"{KIND}.{kind}") for kind, data in held.items()],
    }
    return MadeModel(json.dumps(manifest).encode(), config, held)


def push(registry: Registry, repository: str, tag: str, model: MadeModel) -> str:
    """Put a model into a registry; return its name for Ollama."""
    for data in model.blobs.values():
        registry.push_blob(repository, data)
    registry.push_manifest(repository, tag, model.manifest, DOCKER_MANIFEST)
    return f"{registry.host}/{repository}:{tag}"


def write_store(root: Path, models: Mapping[str, MadeModel]) -> Path:
    """Write a store with models by the paths of their manifests; return it."""
    for path, model in models.items():
        manifest = root / "manifests" / path
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_bytes(model.manifest)
        (root / "blobs").mkdir(exist_ok=True)
        for name, data in model.blobs.items():
            (root / "blobs" / name).write_bytes(data)
    return root
