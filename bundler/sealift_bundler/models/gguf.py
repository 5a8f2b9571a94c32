"""The GGUF files of a model: which a server loads, and what their headers say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .files import ModelFile
from .gguf_header import MAGIC, GgufHeader, read_gguf
from .gguf_shape import architecture_of

_SHARD = re.compile(r"-[0-9]{5}-of-[0-9]{5}(?=\.gguf\Z)")
_OLLAMA_BLOB = re.compile(r"(?:.*/)?blobs/sha256[-:][0-9a-f]{64}\Z")
_BESIDE = ("adapter", "mmproj", "imatrix", "vocab")
"""Kinds (general.type) of files that go beside a model."""


@dataclass(frozen=True)
class GgufWeights:
    """The files of one model, in order, and their headers as far as they are here."""

    files: tuple[ModelFile, ...]
    headers: tuple[GgufHeader, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def first(self) -> GgufHeader | None:
        """The header that has the metadata; None where it is not here."""
        return self.headers[0] if len(self.headers) == len(self.files) else None


def read_headers(files: Iterable[ModelFile]) -> dict[str, GgufHeader]:
    """Return the headers of all GGUF files that are here, by path.

    Raises SourceContentError for an untrue one.
    """
    found = {}
    for file in files:
        if file.is_here and _may_be_gguf(file):
            with file.open() as stream:
                header = read_gguf(stream, file.size, file.path)
            if header:
                found[file.path] = header
    return found


def gguf_weights(
    files: Mapping[str, ModelFile], headers: Mapping[str, GgufHeader]
) -> Sequence[GgufWeights]:
    """Return the models among these files; several are choices for the server."""
    models: dict[str, list[ModelFile]] = {}
    for path, file in sorted(files.items()):
        is_gguf = path in headers or file.suffix == ".gguf"
        if is_gguf and not _is_beside(file, headers.get(path)):
            models.setdefault(_SHARD.sub("", path), []).append(file)
    return [
        GgufWeights(
            tuple(parts),
            tuple(headers[part.path] for part in parts if part.path in headers),
        )
        for parts in models.values()
    ]


def _may_be_gguf(file: ModelFile) -> bool:
    if file.suffix == ".gguf":
        return True
    return bool(_OLLAMA_BLOB.match(file.path)) and file.read_start(4) == MAGIC


def _is_beside(file: ModelFile, header: GgufHeader | None) -> bool:
    if header is None:
        return "mmproj" in file.name
    kind = header.metadata.get("general.type")
    return kind in _BESIDE or architecture_of(header) == "clip"
