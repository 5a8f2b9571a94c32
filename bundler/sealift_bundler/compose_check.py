"""Everything that can be wrong with a Compose file before it goes on a trip.

Also finds, on the way, which image and models each service uses and which files
must go along. Changes nothing; compose renders.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import normpath
from typing import Any

from sealift_manifests.errors import UnsafePathError
from sealift_manifests.paths import check_inner_path, check_inner_paths
from sealift_manifests.references import qualify, read_reference

from sealift_bundler.compose_keys import misspelt_keys
from sealift_bundler.compose_site import VARIABLE, SiteCheck
from sealift_bundler.composing.image_hint import image_hint
from sealift_bundler.spec_settings import NOTHING_OPEN, SiteSpec
from sealift_bundler.strictyaml import Fault, Place, texts_of

COMPOSE_FILE = "compose.yaml"
"""What the rendered file is called, whatever the user's is called."""

_WITH_DEFAULT = re.compile(r"[A-Za-z_]\w*(?::?-|:?\?)")
_START = re.compile(r"[A-Za-z_]\w*")
_OUTSIDE_BRACES = re.compile(r":(?![^{]*\})")

_REFUSED_ON_TOP = {
    "configs": "docker-compose 1.29 ignores configs; mount the file: ./file:/path:ro",
}
_REFUSED_IN_SERVICES = {
    "configs": "docker-compose 1.29 ignores configs; mount the file: ./file:/path:ro",
    "gpus": "older Compose ignores it and starts without a GPU; write deploy: "
    "{resources: {reservations: {devices: [{driver: nvidia, count: all, "
    "capabilities: [gpu]}]}}}",
}


@dataclass(frozen=True)
class Volume:
    """A mount of a service, whichever way it was written."""

    target: str
    source: str = ""
    kind: str = ""
    flags: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The path of a source below the Compose file, for files that go along."""
        relative = self.source.startswith(".") or (
            self.kind == "bind" and not self.source.startswith(("/", "~", "$"))
        )
        return normpath(self.source) if self.source and relative else ""


def read_volume(written: Any) -> Volume | None:
    """Return a mount from its short or long form; None for anything else."""
    if isinstance(written, str):
        source, *rest = _OUTSIDE_BRACES.split(written)
        if not rest:
            return Volume(target=source)
        flags = frozenset(rest[1].split(",")) if len(rest) > 1 else frozenset()
        kind = "bind" if source.startswith((".", "/", "~")) else "volume"
        return Volume(rest[0], source, kind, flags) if len(rest) < 3 else None
    if not isinstance(written, Mapping) or not written.get("target"):
        return None
    read_only = str(written.get("read_only", "")).lower()
    options = written.get("volume")
    return Volume(
        target=str(written["target"]),
        source=str(written.get("source") or ""),
        kind=str(written.get("type") or "volume"),
        flags=frozenset({"true": ["ro"], "false": ["rw"]}.get(read_only, [])),
        options=options if isinstance(options, Mapping) else {},
    )


def env_files(written: Any) -> list[tuple[str, bool]]:
    """Return the env files of a service, each with whether it is required."""
    found = []
    for each in written if isinstance(written, list) else [written]:
        if isinstance(each, Mapping):
            required = str(each.get("required", "true")).lower() != "false"
            found.append((str(each.get("path") or ""), required))
        elif each is not None:
            found.append((str(each), True))
    return found


class StackCheck:
    """Goes through a Compose file once and collects what it finds."""

    def __init__(
        self,
        directory: Path,
        references: Mapping[str, str],
        models: Collection[str],
        site: SiteSpec = NOTHING_OPEN,
        *,
        left_out: Collection[str] = (),
        data: Collection[str] = (),
    ) -> None:
        self.faults: list[Fault] = []
        self.images: dict[str, str] = {}
        self.models: dict[str, tuple[str, ...]] = {}
        self.files: dict[str, Path] = {}
        self.data: set[str] = set()
        self._directory = directory
        self._keys = dict(_image_names(references))
        self._references = references
        self._models = frozenset(models)
        self._data = frozenset(data)
        self._declared: Mapping[str, Any] = {}
        self._services: Collection[str] = ()
        self._site = SiteCheck(site)
        self._carried = {secret.label for secret in site.secrets}
        self._left_out = left_out

    def run(self, value: Any) -> None:
        """Check a whole file."""
        services = value.get("services") if isinstance(value, Mapping) else None
        if not isinstance(services, Mapping) or not services:
            self._say((), "has no services; a stack needs at least one")
            return
        self._services = services.keys()
        for key, reason in _REFUSED_ON_TOP.items():
            if value.get(key):
                self._say((key,), reason)
        for place, text in texts_of(value):
            self._check_variables(place, text)
        self.faults += [*self._site.unused(), *self._site.secret_faults(value)]
        self._check_volumes(value.get("volumes") or {})
        self._check_secrets(value.get("secrets") or {})
        for name, service in services.items():
            if isinstance(service, Mapping):
                self._check_service(name, service)
            else:
                self._say(("services", name), "must be a mapping with an image")
        try:
            check_inner_paths([COMPOSE_FILE, *self.files])
        except UnsafePathError as error:
            self._say((), error.message)

    def _check_service(self, name: str, service: Mapping[str, Any]) -> None:
        place: Place = ("services", name)
        for below, meant in misspelt_keys(service):
            self._say((*place, *below), f"is no key of Compose; did you mean {meant}?")
        for key, reason in _REFUSED_IN_SERVICES.items():
            if service.get(key):
                self._say((*place, key), reason)
        self._check_image(place, service)
        mounts = service.get("volumes") or []
        models = set()
        if not isinstance(mounts, list):
            self._say((*place, "volumes"), "must be a list")
            mounts = []
        for number, written in enumerate(mounts):
            if model := self._check_mount((*place, "volumes", number), written):
                models.add(model)
        self.models[name] = tuple(sorted(models))
        for other in service.get("depends_on") or ():
            if other not in self._services and other not in self._left_out:
                self._say(
                    (*place, "depends_on"),
                    f"{other!r} is no service of this file: it would never start",
                )
        for path, required in env_files(service.get("env_file")):
            if required or os.path.exists(self._directory / path):
                self._carry((*place, "env_file"), path)

    def images_of(self, services: Mapping[str, Any]) -> frozenset[str]:
        """Return the images of the spec that services name, whatever else they say."""
        keys = {
            self._key_of(service.get("image") or (name if "build" in service else None))
            for name, service in services.items()
        }
        return frozenset(key for key in keys if key is not None)

    def _check_image(self, place: Place, service: Mapping[str, Any]) -> None:
        name, written = str(place[1]), service.get("image")
        if written is None and service.get("build"):
            if name not in self._references:
                self._say(
                    (*place, "build"),
                    "is not built on the offline host; build it in the spec "
                    f"(images.{name}.build) and say `image: {name}` here",
                )
                return
            written = name
        key = self._key_of(written)
        if key is not None:
            self.images[name] = key
            return
        known = ", ".join(f"{k} ({r})" for k, r in self._references.items()) or "none"
        self._say(
            (*place, "image") if written else place,
            f"{'image ' + repr(str(written)) if written else 'has no image; it'} must "
            f"be one of the spec's; {image_hint(name, service, self._references)}"
            f"allowed: {known}",
        )

    def _key_of(self, written: Any) -> str | None:
        if not isinstance(written, str):
            return None
        if written in self._references:
            return written
        try:
            return self._keys.get(qualify(written))
        except ValueError:
            return None

    def _check_mount(self, place: Place, written: Any) -> str | None:
        """Check one mount; return the model it mounts, if it does."""
        volume = read_volume(written)
        if volume is None:
            self._say(place, "must be source:target[:ro], or a mapping with a target")
        elif volume.source in self._models and volume.kind == "volume":
            self._check_flags(place, volume, "a model")
            return volume.source
        elif volume.source in self._data and volume.kind == "volume":
            self.data.add(volume.source)
        elif volume.file:
            self._check_flags(place, volume, "a file of the bundle")
            self._carry(place, volume.file)
        elif volume.kind == "volume" and "$" not in volume.source:
            self._check_named(place, volume.source)
        return None

    def _check_flags(self, place: Place, volume: Volume, what: str) -> None:
        if extra := sorted(volume.flags - {"ro", "nocopy"}):
            self._say(
                place, f"{what} is mounted read-only; leave out {', '.join(extra)}"
            )

    def _check_named(self, place: Place, source: str) -> None:
        if not source or source in self._declared:
            return
        known = [*self._models, *self._data, *self._declared]
        near = difflib.get_close_matches(source, known, 1)
        guess = f"did you mean {near[0]}? " if near else ""
        self._say(
            place,
            f"{source!r} is no model or volume of the spec, nor of this file; {guess}"
            f"models: {', '.join(sorted(self._models)) or 'none'}",
        )

    def _check_volumes(self, volumes: Any) -> None:
        if not isinstance(volumes, Mapping):
            self._say(("volumes",), "must be a mapping")
            return
        self._declared = volumes
        for name, held in volumes.items():
            external_only = isinstance(held, Mapping) and set(held) == {"external"}
            for what, names in (("model", self._models), ("volume", self._data)):
                if name in names and held and not external_only:
                    self._say(
                        ("volumes", name),
                        f"is a {what} of the spec; leave its settings out",
                    )

    def _check_secrets(self, secrets: Any) -> None:
        for name, held in secrets.items() if isinstance(secrets, Mapping) else ():
            path = str(held.get("file", "")) if isinstance(held, Mapping) else ""
            if name not in self._carried and not path.startswith("/"):
                self._say(
                    ("secrets", name),
                    "a bundle is signed and not encrypted, so secrets do not travel; "
                    "declare it under `secrets:` in the spec, or name a file that is "
                    "on the host: file: /absolute/path",
                )

    def _check_variables(self, place: Place, text: str) -> None:
        self.faults += self._site.variable_faults(place, text)
        for braced, bare in VARIABLE.findall(text):
            name = bare or braced
            start = _START.match(name)
            is_open = start is not None and self._site.is_setting(start[0])
            if name and not is_open and not _WITH_DEFAULT.match(name):
                self._say(
                    place,
                    f"${{{name}}} has no value on the offline host; write the value, "
                    f"{self._site.meant(name)}give a default (${{{name}:-...}}) or a "
                    "line of .env beside this file, or $$ for a dollar sign",
                )

    def _carry(self, place: Place, path: str) -> None:
        """Note a file that Compose reads on the host."""
        relative = normpath(path)
        try:
            check_inner_path(relative)
        except UnsafePathError:
            self._say(place, f"{path!r} must be a file below the Compose file")
            return
        source = self._directory / relative
        if source.is_dir():
            self._say(
                place,
                f"{path!r} is a directory; put it into an image, mount its files one "
                "by one, or name an absolute directory of the host",
            )
        elif not source.is_file():
            self._say(place, f"{source} does not exist")
        else:
            self.files[relative] = source

    def _say(self, place: Place, message: str) -> None:
        self.faults.append(Fault(place, message))


def _image_names(references: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield every name that a service may use for an image, with the image's key."""
    for key, reference in references.items():
        parsed = read_reference(reference)
        if parsed.digest and parsed.tag:
            yield replace(parsed, digest=None).qualified, key
    for key, reference in references.items():
        yield qualify(reference), key
