"""The lock file: what each source of a spec meant when it was last built.

Pure but for `load` and `save`. Asks nobody upstream; it tells those who do
whether they need to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from sealift_manifests import records, strictjson
from sealift_manifests.digests import Digest
from sealift_manifests.errors import (
    LockDriftError,
    ManifestError,
    OutputError,
    SpecError,
)

from sealift_bundler.ollama.names import read_name
from sealift_bundler.spec import ImageSpec, ModelSpec, Spec
from sealift_bundler.spec_volumes import VolumeSpec

FORMAT = 1
_UPDATE = "Look at what changed; then build with --update to accept it."


@dataclass(frozen=True, order=True)
class ModelPin:
    """The commit that a revision of a repo meant."""

    name: str
    repo: str
    revision: str
    commit: str

    @property
    def where(self) -> str:
        """The place in the spec."""
        return f"models.{self.name}"

    @property
    def source(self) -> str:
        """What the spec says; the pin holds as long as it says so."""
        return f"{self.repo} at {self.revision}"


@dataclass(frozen=True, order=True)
class OllamaPin:
    """The manifest that the name of an Ollama model meant; `name` is the spec's key."""

    name: str
    reference: str
    manifest_digest: Digest

    @property
    def where(self) -> str:
        """The place in the spec."""
        return ollama_place(self.name, self.reference)

    @property
    def source(self) -> str:
        """What the spec says; the pin holds as long as it says so."""
        return self.reference


@dataclass(frozen=True, order=True)
class ImagePin:
    """The manifest that a reference meant on a platform, and the index above it."""

    name: str
    reference: str
    platform: str
    manifest_digest: Digest
    index_digest: Optional[Digest] = None  # noqa: UP045 - read by records

    @property
    def where(self) -> str:
        """The place in the spec."""
        return f"images.{self.name}"

    @property
    def source(self) -> str:
        """What the spec says; the pin holds as long as it says so."""
        return f"{self.reference} for {self.platform}"


@dataclass(frozen=True, order=True)
class LocalPin:
    """What something on this machine was when it was last built.

    `section` is `models`, `images` or `volumes`; `digest` that of the tree, the config
    or the volume's list.
    """

    section: str
    name: str
    source: str
    digest: Digest

    @property
    def where(self) -> str:
        """The place in the spec."""
        return f"{self.section}.{self.name}"


Pin = ModelPin | OllamaPin | ImagePin | LocalPin


@dataclass(frozen=True)
class Lock:
    """All pins of a spec."""

    format: int
    models: tuple[ModelPin, ...] = ()
    images: tuple[ImagePin, ...] = ()
    local: tuple[LocalPin, ...] = ()
    ollama: tuple[OllamaPin, ...] = ()

    @classmethod
    def of(cls, pins: Iterable[Pin]) -> Lock:
        """Return the lock with these pins."""
        pins = tuple(pins)
        return cls(
            FORMAT,
            models=tuple(sorted(p for p in pins if isinstance(p, ModelPin))),
            images=tuple(
                sorted(
                    (p for p in pins if isinstance(p, ImagePin)), key=lambda p: p.name
                )
            ),
            local=tuple(sorted(p for p in pins if isinstance(p, LocalPin))),
            ollama=tuple(sorted(p for p in pins if isinstance(p, OllamaPin))),
        )

    @classmethod
    def load(cls, path: Path) -> Lock:
        """Read a lock file; one that is not there has no pins."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls(FORMAT)
        except OSError as error:
            raise SpecError(
                f"{path} cannot be read: {error.strerror}",
                hint="Make it readable; keep it beside the spec.",
            ) from error
        try:
            lock = records.decode(cls, strictjson.load(data, path.name), path.name)
        except ManifestError as error:
            raise SpecError(
                error.message,
                hint="Restore it from version control, or delete it to pin anew.",
            ) from error
        if lock.format != FORMAT:
            raise SpecError(
                f"{path} has format {lock.format}; this Sealift reads {FORMAT}",
                hint="Use the Sealift that wrote it, or delete it to pin anew.",
            )
        return lock

    def save(self, path: Path) -> None:
        """Write the lock file whole or not at all."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                file.write(strictjson.dump(records.encode(self)))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise OutputError(
                f"{path} cannot be written: {error.strerror}",
                hint="Make its directory writable, or free space there.",
            ) from error

    def pins(self) -> Iterator[Pin]:
        """Yield every pin."""
        yield from self.models
        yield from self.ollama
        yield from self.images
        yield from self.local

    def pin_for(self, where: str) -> Pin | None:
        """Return the pin of a place such as `models.chat`."""
        return next((pin for pin in self.pins() if pin.where == where), None)


def lock_path(spec_path: Path) -> Path:
    """Return where the lock of a spec lies: beside it."""
    return spec_path.with_name(f"{spec_path.stem}.lock.json")


def model_pin(
    lock: Lock, name: str, model: ModelSpec, *, update: bool = False
) -> ModelPin | None:
    """Return the pin to use for a model from the Hub; None to ask the Hub."""
    pin = lock.pin_for(f"models.{name}")
    wanted = (model.huggingface, model.revision)
    if update or not isinstance(pin, ModelPin) or (pin.repo, pin.revision) != wanted:
        return None
    return pin


def ollama_place(name: str, reference: str) -> str:
    """Return where a pin of an Ollama model stands: one key may have several."""
    return f"models.{name}.ollama.{reference}"


def image_pin(
    lock: Lock, name: str, spec: Spec, *, update: bool = False
) -> ImagePin | None:
    """Return the pin to use for an image that is pulled; None to ask the registry."""
    pin = lock.pin_for(f"images.{name}")
    wanted = (spec.images[name].pull, spec.platform)
    if update or not isinstance(pin, ImagePin):
        return None
    return pin if (pin.reference, pin.platform) == wanted else None


def sources_of(spec: Spec, directory: Path) -> dict[str, str]:
    """Return what the spec says of each source, by its place, as pins say it."""
    models = {
        where: source
        for name, model in spec.models.items()
        for where, source in _model_sources(name, model, directory)
    }
    images = {
        f"images.{name}": _image_source(name, image, spec)
        for name, image in spec.images.items()
    }
    volumes = {
        f"volumes.{name}": volume_source(volume, directory)
        for name, volume in spec.volumes.items()
    }
    return models | images | volumes


def require_locked(lock: Lock, sources: dict[str, str]) -> None:
    """Raise LockDriftError unless the lock pins just what the spec says."""
    pinned = {pin.where: pin.source for pin in lock.pins()}
    drift = []
    for where in sorted(sources.keys() | pinned.keys()):
        if where not in pinned:
            drift.append(f"{where}: is not in the lock")
        elif where not in sources:
            drift.append(f"{where}: is in the lock and no longer in the spec")
        elif sources[where] != pinned[where]:
            drift.append(
                f"{where}: the spec says {sources[where]}, the lock {pinned[where]}"
            )
    _raise_if(drift)


def require_same(lock: Lock, built: Lock) -> None:
    """Raise LockDriftError unless what was built is what the lock pins."""
    drift = []
    for pin in built.pins():
        pinned = lock.pin_for(pin.where)
        if pinned is None:
            drift.append(f"{pin.where}: is not in the lock")
        elif pinned != pin:
            drift.append(
                f"{pin.where}: is {_shown(pin)}, the lock has {_shown(pinned)}"
            )
    _raise_if(drift)


def _raise_if(drift: list[str]) -> None:
    if drift:
        raise LockDriftError(
            "the sources no longer agree with the lock:\n  " + "\n  ".join(drift),
            hint=_UPDATE,
        )


def _shown(pin: Pin) -> str:
    if isinstance(pin, ModelPin):
        return f"{pin.source}, commit {pin.commit[:12]}"
    digest = pin.digest if isinstance(pin, LocalPin) else pin.manifest_digest
    return f"{pin.source}, {digest.short}"


def _model_sources(
    name: str, model: ModelSpec, directory: Path
) -> Iterator[tuple[str, str]]:
    if model.ollama:
        for written in model.ollama.names:
            reference = read_name(written).familiar
            yield ollama_place(name, reference), reference
    elif model.path:
        yield f"models.{name}", local_path(model.path, directory)
    else:
        yield f"models.{name}", f"{model.huggingface} at {model.revision}"


def _image_source(name: str, image: ImageSpec, spec: Spec) -> str:
    if image.build:
        return f"build for {spec.platform}"
    return f"{spec.reference(name)} for {spec.platform}"


def volume_source(volume: VolumeSpec, directory: Path) -> str:
    """Return what the spec says of a volume."""
    if volume.path:
        return local_path(volume.path, directory)
    return f"volume {volume.volume}"


def local_path(path: Path, directory: Path) -> str:
    """Return a path as seen from the spec, so that the lock fits every checkout."""
    return os.path.relpath(path, directory)
