"""Models of Ollama that are made here, of GGUF files and a Modelfile.

A blob is named by its digest, so each file is read once to measure it, and again when
it is packed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import SourceContentError, SpecError

from sealift_bundler.models.gguf_header import GgufHeader, read_gguf
from sealift_bundler.ollama.create import (
    Created,
    Weights,
    create_model,
    kind_of,
    require_model,
)
from sealift_bundler.ollama.documents import OllamaModel
from sealift_bundler.ollama.modelfile import Modelfile, Named, parse_modelfile
from sealift_bundler.ollama.names import read_name
from sealift_bundler.spec_ollama import CreateSpec
from sealift_bundler.workplace import Workplace

_READ = 1 << 20


def resolve_created(
    key: str, wanted: CreateSpec, place: Workplace
) -> tuple[OllamaModel, Mapping[Digest, Path]]:
    """Return a model that is made here, and the file that has each of its blobs."""
    said = _said(wanted)
    for note in said.notes:
        place.report.step(f"model {key}: {wanted.model}: {note}")
    if "template" not in said.texts:
        place.report.step(
            f"model {key}: {wanted.model} has no TEMPLATE: Ollama sends it the bare "
            "prompt, unless it knows the model's own"
        )
    files = [(named, path) for named, path in _files(wanted, said)]
    headers = [_header(path) for _, path in files]
    _expect_kinds(wanted, said, files, headers)
    weights = [
        _measured(key, path, header, place)
        for (_, path), header in zip(files, headers, strict=True)
    ]
    weights.sort(key=lambda each: ("model", "projector", "adapter").index(each.kind))
    made = create_model(read_name(wanted.model), weights, said)
    return made.model, {**made.files, **_kept(made, place)}


def _said(wanted: CreateSpec) -> Modelfile:
    if wanted.modelfile is None:
        return Modelfile(weights=[Named(str(wanted.gguf), 1)])
    try:
        text = wanted.modelfile.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{wanted.modelfile} cannot be read: {error}",
            hint="A Modelfile is a text in UTF-8.",
        ) from error
    return parse_modelfile(text, wanted.modelfile.name)


def _files(wanted: CreateSpec, said: Modelfile) -> list[tuple[Named, Path]]:
    """Return the files that are named; raise SpecError for those that are none."""
    base = (wanted.modelfile or Path()).parent
    found, faults = [], []
    for named in (*said.weights, *said.adapters):
        path = base / os.path.expanduser(named.written)
        if path.is_file():
            found.append((named, path))
        else:
            faults.append(
                f"{_where(wanted, named)}: {named.written[:200]} is not a file; a "
                "model that Ollama has or pulls cannot be built on here"
            )
    if faults:
        raise SpecError(
            "\n".join(faults),
            hint="Name the GGUF file, as seen from the Modelfile: FROM ./model.gguf",
        )
    return found


def _header(path: Path) -> GgufHeader:
    with path.open("rb") as stream:
        return require_model(read_gguf(stream, path.stat().st_size, path.name), path)


def _expect_kinds(
    wanted: CreateSpec,
    said: Modelfile,
    files: list[tuple[Named, Path]],
    headers: list[GgufHeader],
) -> None:
    """Expect one model that is the spec's GGUF, and adapters where they are said."""
    models = []
    for (named, path), header in zip(files, headers, strict=True):
        kind = kind_of(header)
        if (kind == "adapter") != (named in said.adapters):
            word = "ADAPTER" if kind == "adapter" else "FROM"
            raise SpecError(
                f"{_where(wanted, named)}: {path.name} is for {word}, by its header",
                hint=f"Write {word} {named.written}",
            )
        if kind == "model":
            models.append((named, path))
    if len(models) != 1:
        raise SpecError(
            f"{wanted.model} is made of {len(models)} models; FROM must name one",
            hint="Name one GGUF file of a model, and its projector if it has one.",
        )
    named, path = models[0]
    if wanted.gguf and not wanted.gguf.samefile(path):
        raise SpecError(
            f"{_where(wanted, named)}: FROM leads to {path}, the spec names "
            f"{wanted.gguf}",
            hint="Let both name one file, or leave `gguf` out of the spec.",
        )


def _where(wanted: CreateSpec, named: Named) -> str:
    name = wanted.modelfile.name if wanted.modelfile else "gguf"
    return f"{name}:{named.line}"


def _measured(key: str, path: Path, header: GgufHeader, place: Workplace) -> Weights:
    size, state = path.stat().st_size, hashlib.sha256()
    task = f"measuring {path.name} of model {key}"
    with path.open("rb") as file, place.report.progress(task, size) as progress:
        while data := file.read(_READ):
            state.update(data)
            progress(len(data))
        if file.tell() != size:
            raise SourceContentError(
                f"{path} changed while it was read",
                hint="Let nothing write to it during the build, and build again.",
            )
    return Weights(path, kind_of(header), from_hex(state.hexdigest()), size, header)


def _kept(made: Created, place: Workplace) -> dict[Digest, Path]:
    """Write the small blobs into the cache, each whole or not at all."""
    folder = place.cache / "blobs" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for digest, data in made.texts.items():
        path = folder / digest.hex
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_bytes(data)
        beside.replace(path)
        found[digest] = path
    return found
