"""Make an Ollama model of GGUF files and a Modelfile: its manifest and its blobs.

Says what the small blobs are and which files are the large ones; writes nothing. The
same inputs give the same manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import SourceContentError

from sealift_bundler.models.gguf_header import GgufHeader
from sealift_bundler.models.gguf_shape import architecture_of, quantization_of

from .documents import KIND, OllamaModel, parse_manifest
from .modelfile import Modelfile
from .names import OllamaName

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_UNITS = ((10**12, "T", 1), (10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0))


@dataclass(frozen=True)
class Weights:
    """A GGUF file, measured: where it is, what it is, and what its header says.

    `kind` is `model`, `projector` or `adapter`.
    """

    path: Path
    kind: str
    digest: Digest
    size: int
    header: GgufHeader


@dataclass(frozen=True)
class Created:
    """A model, and where the bytes of its blobs are: in a file, or here."""

    model: OllamaModel
    files: Mapping[Digest, Path]
    texts: Mapping[Digest, bytes]


def create_model(
    name: OllamaName, weights: Sequence[Weights], said: Modelfile
) -> Created:
    """Return the model that `ollama create` makes of these."""
    texts = [(kind, data) for kind, data in _texts(said)]
    layers = [_layer(each.kind, each.digest, each.size) for each in weights]
    layers += [_layer(kind, digest_of(data), len(data)) for kind, data in texts]
    config = _json(_config(weights[0].header, layers, said))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _described(_CONFIG, digest_of(config), len(config)),
            "layers": layers,
        }
    )
    small = [config, *(data for _, data in texts)]
    return Created(
        parse_manifest(manifest, name),
        {each.digest: each.path for each in weights},
        {digest_of(data): data for data in small},
    )


def kind_of(header: GgufHeader) -> str:
    """Say what a GGUF file is in a model: `model`, `projector` or `adapter`."""
    kind = header.metadata.get("general.type")
    if kind == "adapter":
        return "adapter"
    is_eye = kind in ("mmproj", "projector") or architecture_of(header) == "clip"
    return "projector" if is_eye else "model"


def require_model(header: GgufHeader | None, path: Path) -> GgufHeader:
    """Return the header of a file that Ollama can load, or raise."""
    if header is None:
        raise SourceContentError(
            f"{path} is not a GGUF file of a version that is known",
            hint="Convert the model with llama.cpp's tools first.",
        )
    if "split.count" in header.metadata and header.metadata["split.count"] != 1:
        raise SourceContentError(
            f"{path} is one part of a split model",
            hint="Merge the parts first: `llama-gguf-split --merge FIRST OUT.gguf`.",
        )
    if not architecture_of(header):
        raise SourceContentError(
            f"{path} does not say its architecture (general.architecture)",
            hint="Convert the model anew: no server could load it.",
        )
    return header


def human_count(count: int) -> str:
    """Return a number of parameters as Ollama shows it: 8.0B, 361.82M."""
    for unit, letter, digits in _UNITS:
        if count >= unit:
            is_whole = count % unit == 0
            return f"{count / unit:.{0 if is_whole else digits}f}{letter}"
    return str(count)


def _texts(said: Modelfile) -> Iterator[tuple[str, bytes]]:
    for kind in ("template", "system"):
        if kind in said.texts:
            yield kind, said.texts[kind].encode()
    for text in said.licenses:
        yield "license", text.encode()
    if said.parameters:
        yield "params", _json(said.parameters)
    if said.messages:
        yield "messages", _json(said.messages)


def _config(
    header: GgufHeader, layers: Sequence[Mapping[str, Any]], said: Modelfile
) -> dict[str, Any]:
    family = architecture_of(header)
    own = ("renderer", "parser", "requires")
    return {
        "model_format": "gguf",
        "model_family": family,
        "model_families": [family],
        "model_type": human_count(sum(tensor.count for tensor in header.tensors)),
        "file_type": quantization_of(header) or "unknown",
        **{key: said.texts[key] for key in own if key in said.texts},
        # Ollama writes these whatever machine it runs on.
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in layers]},
    }


def _layer(kind: str, digest: Digest, size: int) -> dict[str, Any]:
    return _described(f"{KIND}{kind}", digest, size)


def _described(media_type: str, digest: Digest, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _json(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
