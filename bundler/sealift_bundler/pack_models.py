"""Bring models into the packs: gather their files, check them, pack them.

Gathering fetches what is remote; packing reads every byte once and compares it with
what the source promised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sealift_manifests.digests import Buffer, Digest, digest_of
from sealift_manifests.errors import SourceContentError
from sealift_manifests.model_entries import ModelEntry, ModelFile, ModelSource
from sealift_manifests.paths import check_inner_paths
from sealift_manifests.preflight.notes import MODEL_NOTE, model_needs_facts
from sealift_manifests.trees import format_listing

from sealift_bundler.buffers import Buffers
from sealift_bundler.chunking import cut_plain, cut_tensors
from sealift_bundler.leaks.check import check_model
from sealift_bundler.models import files as checked
from sealift_bundler.models.content_policy import Kind, check_content
from sealift_bundler.models.facts import model_facts
from sealift_bundler.models.safetensors_header import read_header
from sealift_bundler.models.serving import serving_needs
from sealift_bundler.pack import Packed, Packer
from sealift_bundler.progress import Meter
from sealift_bundler.reading import read_pieces


class Check(Protocol):
    """Compares a file with what its source promised; raises SourceContentError."""

    @property
    def wants_bytes(self) -> bool:
        """Whether it must see the bytes: `update`, then `finish`."""

    def update(self, buffer: Buffer) -> None:
        """Take the next bytes."""

    def finish(self) -> None:
        """Compare what was taken."""

    def finish_with(self, size: int, digest: Digest) -> None:
        """Compare with bytes that were measured elsewhere."""


@dataclass(frozen=True)
class SourceFile:
    """A file of a model on this machine.

    `blob` is its name in a Hub cache; `check` compares it with what its source says.
    """

    path: str
    source: Path
    size: int
    blob: str | None = None
    check: Check | None = None


@dataclass(frozen=True)
class GatheredModel:
    """A model whose files are all on this machine, checked but not yet measured."""

    name: str
    layout: str
    source: ModelSource
    files: tuple[SourceFile, ...]
    accepted: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def inspect_files(
    name: str,
    files: tuple[SourceFile, ...],
    allow: frozenset[Kind],
    not_secret: tuple[str, ...] = (),
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Check names and contents of a model's files; return accepted risks and facts.

    Raises UnsafePathError or SourceContentError.
    """
    check_inner_paths(file.path for file in files)
    listed = [checked.ModelFile.at(file.path, file.source) for file in files]
    check_model(name, listed, not_secret)
    accepted = check_content(listed, allow, model=f"model {name}")
    facts = model_facts(listed)
    needs = serving_needs(name, listed, facts["dtypes"])
    return accepted, {**facts, MODEL_NOTE: model_needs_facts(needs)}


def pack_model(packer: Packer, model: GatheredModel, progress: Meter) -> PackedModel:
    """Hand every file of the model to the packer, in the order of their paths."""
    taken = []
    for file in sorted(model.files, key=lambda f: f.path):
        observers = [file.check] if file.check and file.check.wants_bytes else []
        pieces = _pieces(file, packer.buffers, progress)
        name = f"model {model.name}: {file.path}"
        with progress.item(name):
            taken.append((file, packer.add(pieces, observers, name)))
    return PackedModel(model, tuple(taken))


@dataclass(frozen=True)
class PackedModel:
    """A model on its way through the packer."""

    model: GatheredModel
    taken: tuple[tuple[SourceFile, Packed], ...]

    def finish(self) -> tuple[ModelEntry, bytes]:
        """Return its entry and its checksum list, once the packer was drained.

        Raises SourceContentError when a file is not what its source promised.
        """
        for file, packed in self.taken:
            if file.check and file.check.wants_bytes:
                file.check.finish()
            elif file.check:
                file.check.finish_with(packed.size, packed.digest)
        model = self.model
        files = tuple(
            ModelFile(file.path, packed.size, packed.digest, file.blob)
            for file, packed in self.taken
        )
        listing = format_listing(model.layout, model.source, files)
        entry = ModelEntry(
            name=model.name,
            layout=model.layout,
            source=model.source,
            files=files,
            tree=digest_of(listing),
            accepted=model.accepted,
            facts=model.facts,
        )
        return entry, listing


def _pieces(
    file: SourceFile, buffers: Buffers, progress: Meter
) -> Iterator[tuple[memoryview, int]]:
    fd = os.open(file.source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        before = os.fstat(fd)
        if before.st_size != file.size:
            raise _changed(file)
        with closing(read_pieces(fd, _cuts(file), buffers)) as pieces:
            for data, width in pieces:
                yield data, width
                progress(len(data))
        after = os.fstat(fd)
    except EOFError as error:
        raise _changed(file) from error
    finally:
        os.close(fd)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(file)


def _cuts(file: SourceFile) -> Iterator[Any]:
    if not file.path.endswith(".safetensors"):
        return cut_plain(file.size)
    with file.source.open("rb") as stream:
        header = read_header(stream, file.size, file.path)
    return cut_tensors(header.header_size, header.tensors, file.size)


def _changed(file: SourceFile) -> SourceContentError:
    return SourceContentError(
        f"{file.source} changed while it was read",
        hint="Let nothing write to it during the build, and build again.",
    )
