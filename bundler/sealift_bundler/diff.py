"""What is in one release and not in another: files, layers, needs, and bytes to carry.

Pure: compares two sides. Bytes are those of chunks and layers that a host with the old
side has not, before compression; each is counted once, where it is met first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest
from sealift_manifests.errors import UsageError
from sealift_manifests.image_entries import LayerEntry
from sealift_manifests.index import BaseRelease
from sealift_manifests.model_entries import FileEntry
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.preflight.tables import default_tables
from sealift_manifests.receipt import Held, HeldLayer, HeldRelease, Receipt
from sealift_manifests.volume_entries import VolumeEntry

from sealift_bundler.bases import held_by, release_of
from sealift_bundler.needs_text import needs_lines

ADDED, CHANGED, REMOVED = "added", "changed", "removed"

Files = Mapping[str, FileEntry]
Layers = Sequence[LayerEntry | HeldLayer]


@dataclass(frozen=True)
class Side:
    """What one side holds, by name. `held` is all that a host with it can reuse.

    `chunks` are digest and size of the chunks of each content; files that are not there
    count as one. Of a receipt, stack, volumes and needs are not known.
    """

    release: BaseRelease
    models: Mapping[str, Files]
    images: Mapping[str, Layers]
    held: Sequence[Held]
    chunks: Mapping[Digest, Sequence[tuple[Digest, int]]]
    stack: Files | None = None
    needs: Sequence[str] | None = None
    volumes: Mapping[str, VolumeEntry] | None = None


@dataclass(frozen=True)
class FileChange:
    """A file that is added, changed or removed; `new` of its bytes must be carried."""

    path: str
    kind: str
    size: int
    new: int


@dataclass(frozen=True)
class ModelChange:
    """A model with changes; `files` are those that differ, `kept` the others."""

    name: str
    kind: str
    files: tuple[FileChange, ...]
    kept: int
    size: int
    new: int


@dataclass(frozen=True)
class LayerChange:
    """A layer that must be carried, or one that is gone; `size` is in bytes."""

    diff_id: Digest
    kind: str
    size: int


@dataclass(frozen=True)
class ImageChange:
    """An image whose list of layers differs."""

    name: str
    kind: str
    layers: tuple[LayerChange, ...]
    kept: int
    size: int
    new: int


@dataclass(frozen=True)
class Difference:
    """All that differs between two sides. `size` and `new` are those of the new one."""

    old: BaseRelease
    new_release: BaseRelease
    models: tuple[ModelChange, ...]
    images: tuple[ImageChange, ...]
    stack: tuple[FileChange, ...]
    volumes: tuple[ModelChange, ...]
    needs_added: tuple[str, ...]
    needs_removed: tuple[str, ...]
    size: int
    new: int

    @property
    def is_empty(self) -> bool:
        """Whether both sides hold the same."""
        needs = self.needs_added or self.needs_removed
        things = self.models or self.images or self.stack or self.volumes
        return not (things or needs)


def side_of(found: Receipt | Bundle, name: str | None) -> Side:
    """Return a bundle, or the release of bundle `name` that a host uses, as a side."""
    if isinstance(found, Receipt):
        return _held_side(found, name)
    contents, chunks = found.index.contents, found.index.chunks
    manifest = found.manifest
    stack = manifest.stack.files if manifest.stack else ()
    return Side(
        release=release_of(found),
        models={m.name: {f.path: f for f in m.files} for m in manifest.models},
        images={image.name: image.layers for image in manifest.images},
        held=[held_by(found)],
        chunks={
            digest: [(chunks[n].digest, chunks[n].size) for n in content.chunks]
            for digest, content in contents.items()
        },
        stack={file.path: file for file in stack},
        needs=needs_lines(needs_of(manifest), default_tables()),
        volumes={volume.name: volume for volume in manifest.volumes},
    )


def _held_side(receipt: Receipt, name: str | None) -> Side:
    names = sorted({held.name for held in receipt.releases})
    if name is None and len(names) == 1:
        name = names[0]
    fitting = [held for held in receipt.releases if held.name == name]
    if not fitting:
        raise UsageError(
            f"the receipt is of a host with {', '.join(names) or 'no bundle'}"
            + (f", not {name}" if name else ""),
            hint="Compare bundles of one name; with several in a receipt, say which: "
            "--name NAME.",
        )
    chosen = max(fitting, key=_used_or_newest)
    return Side(
        release=chosen.release,
        models={m.name: {f.path: f for f in m.files} for m in chosen.models},
        images={image.name: image.layers for image in chosen.images},
        held=[Held.of(held) for held in receipt.releases],
        chunks={},
    )


def _used_or_newest(held: HeldRelease) -> tuple[bool, int]:
    return held.current, held.serial


def compare(old: Side, new: Side) -> Difference:
    """Return what a host with `old` lacks of `new`, and what of it would go."""
    count = _Count(old)
    models = [
        _model(name, old.models.get(name), new.models.get(name), new, count)
        for name in _names(old.models, new.models)
    ]
    images = [
        _image(name, old.images.get(name), new.images.get(name), count)
        for name in _names(old.images, new.images)
    ]
    stack = []
    if old.stack is not None and new.stack is not None:
        stack = _files(old.stack, new.stack, new, count)
    volumes = []
    if old.volumes is not None and new.volumes is not None:
        volumes = [
            _volume(name, old.volumes.get(name), new.volumes.get(name), new, count)
            for name in _names(old.volumes, new.volumes)
        ]
    before, after = old.needs, new.needs
    known = before is not None and after is not None
    return Difference(
        old=old.release,
        new_release=new.release,
        models=tuple(change for change in models if change.kind),
        images=tuple(change for change in images if change.kind),
        stack=tuple(stack),
        volumes=tuple(change for change in volumes if change.kind),
        needs_added=_without(after or (), before or ()) if known else (),
        needs_removed=_without(before or (), after or ()) if known else (),
        size=sum(model.size for model in models)
        + sum(image.size for image in images)
        + sum(volume.size for volume in volumes)
        + sum(file.size for file in (new.stack or {}).values()),
        new=count.total,
    )


def _without(these: Sequence[str], those: Sequence[str]) -> tuple[str, ...]:
    return tuple(line for line in these if line not in those)


def _names(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return sorted({*old, *new})


def _model(
    name: str, old: Files | None, new: Files | None, side: Side, count: _Count
) -> ModelChange:
    files = _files(old or {}, new or {}, side, count)
    gone = sum(change.kind == REMOVED for change in files)
    kind = _kind(old is not None, new is not None, bool(files))
    return ModelChange(
        name=name,
        kind=kind,
        files=tuple(files),
        kept=len(new or {}) - len(files) + gone,
        size=sum(file.size for file in (new or {}).values()),
        new=sum(change.new for change in files),
    )


def _volume(
    name: str,
    old: VolumeEntry | None,
    new: VolumeEntry | None,
    side: Side,
    count: _Count,
) -> ModelChange:
    """Compare data; all of it travels each time, for the host's own is another now."""
    before, after = _data_files(old), _data_files(new)
    nothing: Files = {}
    files = _files(before, after, side, count)
    carried = sum(change.new for change in files)
    carried += sum(change.new for change in _files(nothing, after, side, count))
    differs = old is not None and new is not None and old.digest != new.digest
    gone = sum(change.kind == REMOVED for change in files)
    return ModelChange(
        name=name,
        kind=_kind(old is not None, new is not None, differs),
        files=tuple(files),
        kept=len(after) - len(files) + gone,
        size=sum(file.size for file in after.values()),
        new=carried,
    )


def _data_files(volume: VolumeEntry | None) -> Files:
    return {
        item.path: FileEntry(item.path, item.size, item.digest)
        for item in (volume.items if volume else ())
        if item.digest is not None
    }


def _kind(was: bool, is_: bool, differs: bool) -> str:
    if was and is_:
        return CHANGED if differs else ""
    return ADDED if is_ else REMOVED


def _files(old: Files, new: Files, side: Side, count: _Count) -> list[FileChange]:
    changes = []
    for path in _names(old, new):
        before, after = old.get(path), new.get(path)
        if after is None:
            assert before is not None, "the path comes from one of them"
            changes.append(FileChange(path, REMOVED, before.size, 0))
        elif before is None or before.digest != after.digest:
            kind = CHANGED if before else ADDED
            parts = side.chunks.get(after.digest, [(after.digest, after.size)])
            changes.append(FileChange(path, kind, after.size, count.of(parts)))
    return changes


def _image(
    name: str, old: Layers | None, new: Layers | None, count: _Count
) -> ImageChange:
    before = {layer.diff_id: layer for layer in old or ()}
    after = {layer.diff_id: layer for layer in new or ()}
    carried = [layer for layer in after.values() if not count.gives(layer)]
    gone = [layer for digest, layer in before.items() if digest not in after]
    differs = [x.diff_id for x in old or ()] != [x.diff_id for x in new or ()]
    layers = [LayerChange(x.diff_id, ADDED, x.size) for x in carried]
    layers += [LayerChange(x.diff_id, REMOVED, x.size) for x in gone]
    return ImageChange(
        name=name,
        kind=_kind(old is not None, new is not None, differs or bool(carried)),
        layers=tuple(layers),
        kept=len(after) - len(carried),
        size=sum(layer.size for layer in after.values()),
        new=count.of((layer.digest, layer.size) for layer in carried),
    )


class _Count:
    """Counts bytes that the old side has not, each once."""

    def __init__(self, old: Side) -> None:
        self._held = old.held
        files = (file for model in old.models.values() for file in model.values())
        self._seen = {file.digest for file in files}.union(
            *(held.chunks for held in old.held)
        )
        self.total = 0

    def of(self, parts: Iterable[tuple[Digest, int]]) -> int:
        """Return the bytes of those parts that were not there and not counted yet."""
        fresh = {digest: size for digest, size in parts if digest not in self._seen}
        self._seen.update(fresh)
        self.total += sum(fresh.values())
        return sum(fresh.values())

    def gives(self, layer: LayerEntry | HeldLayer) -> bool:
        """Say whether a host with the old side has this layer."""
        return any(held.gives(layer) for held in self._held)
