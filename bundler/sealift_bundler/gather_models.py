"""Bring the files of every model of a spec onto this machine, and look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from sealift_manifests.errors import SourceContentError
from sealift_manifests.model_entries import ModelEntry, ModelSource

from sealift_bundler.gather_ollama import (
    OllamaModels,
    gather_ollama,
    ollama_pins,
    resolve_ollama,
)
from sealift_bundler.lock import LocalPin, ModelPin, OllamaPin, local_path, model_pin
from sealift_bundler.models.content_check import expected_check
from sealift_bundler.models.gguf_header import read_gguf
from sealift_bundler.models.hub_values import HubFile, HubRevision
from sealift_bundler.models.local import scan_directory
from sealift_bundler.models.safetensors_header import read_header
from sealift_bundler.models.selection import select
from sealift_bundler.pack_models import GatheredModel, SourceFile, inspect_files
from sealift_bundler.spec import ModelSpec, Spec
from sealift_bundler.workplace import Workplace

_SMALL = 64 << 20
"""Files up to this many bytes are read again without a thought."""
_BLOCK = 1 << 20
_HEADERS: Mapping[str, Callable[[BinaryIO, int, str], object]] = {
    ".safetensors": read_header,
    ".gguf": read_gguf,
}


ResolvedModel = HubRevision | OllamaModels


def resolve_models(spec: Spec, place: Workplace) -> dict[str, ResolvedModel]:
    """Return what the names of models mean now; no weights are fetched."""
    found: dict[str, ResolvedModel] = {}
    for name, model in sorted(spec.models.items()):
        if model.huggingface:
            found[name] = _resolve(name, model, place)
        elif model.ollama:
            found[name] = resolve_ollama(name, model.ollama, place)
    return found


def gather_models(
    spec: Spec, place: Workplace, resolved: Mapping[str, ResolvedModel]
) -> list[GatheredModel]:
    """Return each model of the spec with its files here."""
    gathered = []
    for name, model in sorted(spec.models.items()):
        found = resolved.get(name)
        if isinstance(found, HubRevision):
            gathered.append(_from_hub(name, model, found, place))
        elif found:
            gathered.append(gather_ollama(name, found, place))
        else:
            gathered.append(_from_directory(name, model, place))
    return gathered


def model_pins(
    models: Sequence[ModelEntry],
    spec: Spec,
    place: Workplace,
    resolved: Mapping[str, ResolvedModel],
) -> Iterator[ModelPin | OllamaPin | LocalPin]:
    """Yield what the lock is to say of these models."""
    for model in models:
        source, path = model.source, spec.models[model.name].path
        found = resolved.get(model.name)
        if isinstance(found, OllamaModels):
            yield from ollama_pins(model.name, found)
        elif path:
            written = local_path(path, place.directory)
            yield LocalPin("models", model.name, written, model.tree)
        else:
            yield ModelPin(
                model.name,
                str(source.repo),
                str(source.revision),
                str(source.commit),
            )


def _resolve(name: str, model: ModelSpec, place: Workplace) -> HubRevision:
    # The Hub's client takes 0.15 s to import, which only its models shall cost.
    from sealift_bundler.models.hub import resolve_revision

    repo, revision = str(model.huggingface), str(model.revision)
    pin = model_pin(place.lock, name, model, update=place.update)
    found = resolve_revision(repo, pin.commit if pin else revision)
    place.report.step(f"model {name}: {repo} {revision} is commit {found.commit[:12]}")
    return HubRevision(repo, revision, found.commit, found.files)


def _from_hub(
    name: str, model: ModelSpec, revision: HubRevision, place: Workplace
) -> GatheredModel:
    from sealift_bundler.models.hub_download import snapshot

    chosen = select(revision.files, model.include, model.ignore)
    total = sum(file.size for file in chosen)
    with place.report.progress(f"fetching model {name}", total) as progress:
        places = snapshot(
            revision, chosen, place.cache / "hub", progress, item=progress.item
        )
    files = tuple(_hub_file(revision, file, places[file.path]) for file in chosen)
    source = ModelSource(
        "huggingface", revision.repo, revision.revision, revision.commit
    )
    try:
        return _gathered(name, model, source, files)
    except SourceContentError:
        _refuse_wrong_copies(files)
        raise


def _hub_file(revision: HubRevision, file: HubFile, place: Path) -> SourceFile:
    check = expected_check(revision, file, place)
    blob = file.sha256 or file.git_sha1
    return SourceFile(file.path, place, file.size, blob, check)


def _refuse_wrong_copies(files: Sequence[SourceFile]) -> None:
    """Raise for a file that looks wrong because its copy here is wrong.

    The copy is forgotten then: kept, it would fail every later build as well.
    """
    for file in files:
        if file.check and (file.size <= _SMALL or _has_untrue_header(file)):
            with file.source.open("rb") as stream:
                while data := stream.read(_BLOCK):
                    file.check.update(data)
            file.check.finish()


def _has_untrue_header(file: SourceFile) -> bool:
    read = _HEADERS.get(Path(file.path).suffix)
    if read is None:
        return False
    try:
        with file.source.open("rb") as stream:
            read(stream, file.size, file.path)
    except SourceContentError:
        return True
    return False


def _from_directory(name: str, model: ModelSpec, place: Workplace) -> GatheredModel:
    assert model.path is not None, "a model has a repo or a path"
    tree = scan_directory(model.path)
    for note in tree.notes:
        place.report.step(f"model {name}: {note}")
    chosen = select(tree.files, model.include, model.ignore)
    files = tuple(SourceFile(f.path, f.source, f.size) for f in chosen)
    return _gathered(name, model, ModelSource("path"), files)


def _gathered(
    name: str, model: ModelSpec, source: ModelSource, files: tuple[SourceFile, ...]
) -> GatheredModel:
    accepted, facts = inspect_files(
        name, files, frozenset(model.allow), model.not_secret
    )
    return GatheredModel(name, model.layout, source, files, accepted, facts)
