"""Reads a bundle spec from disk and says everything that is wrong with it at once."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from sealift_manifests.errors import SpecError, UnpinnedSpecError

from sealift_bundler import strictyaml
from sealift_bundler.smoke_check import smoke_faults
from sealift_bundler.spec import (
    BuildSpec,
    ImageSpec,
    ModelSpec,
    Spec,
    same_references,
    unpinned,
)
from sealift_bundler.spec_ollama import CreateSpec, OllamaSpec
from sealift_bundler.spec_settings import SecretSpec, SettingSpec
from sealift_bundler.spec_smoke import ExpectSpec, SmokeSpec
from sealift_bundler.spec_values import Part, drop_empty
from sealift_bundler.spec_volumes import VolumeSpec
from sealift_bundler.strictyaml import Fault, Place

_SECTIONS: Mapping[str, type[Part]] = {
    "models": ModelSpec,
    "images": ImageSpec,
    "volumes": VolumeSpec,
}
_OFTEN_MEANT = {
    "allow_patterns": "include",
    "exclude": "ignore",
    "hf": "huggingface",
    "ignore_patterns": "ignore",
    "image": "pull",
    "repo": "huggingface",
}


def load_spec(path: Path) -> Spec:
    """Read a spec; its relative paths are taken from its directory.

    Raises SpecError with every fault, or UnpinnedSpecError with every image that
    is not pinned when nothing else is wrong.
    """
    document = strictyaml.parse(strictyaml.read_text(path), path.name)
    base = path.absolute().parent
    spec, faults = _validate(document.value, base)
    faults += _missing_files(document.value, base)
    faults += smoke_faults(document.value, base)
    loose = list(_loose_images(document.value))
    if faults or spec is None:
        raise SpecError(
            document.describe_all([*faults, *loose]),
            hint="Correct these lines; `sealift init` writes a commented example.",
        )
    if loose:
        raise UnpinnedSpecError(
            document.describe_all(loose),
            hint="Give each image a version tag; the lock file then pins its digest.",
        )
    return spec


def _validate(value: Any, base: Path) -> tuple[Spec | None, list[Fault]]:
    try:
        spec = Spec.model_validate(value, context={"base": base})
    except ValidationError as error:
        told = (dict(item) for item in error.errors())
        faults = [_explain(item) for item in told if not _is_of_keys(item)]
        return None, faults + list(_key_faults(value))
    doubles = same_references(spec.references())
    try:
        return spec, [
            Fault(("images", second), f"names the same image as images.{first}")
            for first, second in doubles
        ]
    except ValueError as error:  # a key that cannot be an image name
        return spec, [Fault(("images",), f"{error}; give the build a tag")]


def _is_of_keys(error: dict[str, Any]) -> bool:
    """Say whether this is about keys together, which `_key_faults` finds again."""
    place = error["loc"]
    whole = not place or (len(place) == 2 and place[0] in _SECTIONS)
    return bool(whole and error["type"] == "value_error")


def _explain(error: dict[str, Any]) -> Fault:
    place: Place = tuple(p for p in error["loc"] if p != "[key]")
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        return Fault(place, _unknown_key(place))
    if kind == "missing":
        return Fault(place, "is missing")
    if kind == "value_error":
        return Fault(place, str(error["ctx"]["error"]))
    if kind == "literal_error":
        allowed = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return Fault(place, f"{given!r} is unknown; allowed: {allowed}")
    if kind == "string_pattern_mismatch":
        return Fault(place, f"{given!r} is not a name of this kind")
    if kind in ("model_type", "dict_type"):
        keys = ", ".join(_keys_at(place))
        return Fault(place, "must be a mapping" + (f"; keys: {keys}" if keys else ""))
    if kind == "tuple_type":
        return Fault(place, "must be a list, such as [a, b]")
    if kind in ("string_type", "path_type", "string_too_short"):
        return Fault(place, "must be a text that is not empty")
    return Fault(place, f"{error['msg'][0].lower()}{error['msg'][1:]}; is {given!r}")


def _unknown_key(place: Place) -> str:
    allowed = _keys_at(place[:-1])
    key = str(place[-1])
    meant = _OFTEN_MEANT.get(key.lower())
    near = [meant] if meant in allowed else difflib.get_close_matches(key, allowed, 1)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"is not a key here; {guess}allowed: {', '.join(allowed)}"


def _keys_at(place: Place) -> list[str]:
    parts: dict[int, type[BaseModel]] = {0: Spec}
    if place and place[0] in _SECTIONS:
        parts[2] = _SECTIONS[str(place[0])]
    if place[:1] == ("models",):
        parts[3] = OllamaSpec
        parts[5] = CreateSpec
    if place[:1] == ("images",):
        parts[3] = BuildSpec
    if place[:1] == ("settings",):
        parts[2] = SettingSpec
    if place[:1] == ("secrets",):
        parts[2] = SecretSpec
    if place[:1] == ("smoke",):
        parts[2] = SmokeSpec
        parts[3] = ExpectSpec
    part = parts.get(len(place))
    fields = part.model_fields if part else {}
    return [field.alias or name for name, field in fields.items()]


def _key_faults(value: Any) -> Iterator[Fault]:
    """Yield faults of keys together; pydantic is silent where a field is wrong too."""
    if not isinstance(value, Mapping):
        return
    yield from (Fault((), text) for text in Spec.key_faults(drop_empty(value)))
    for section, kind in _SECTIONS.items():
        for key, entry in _entries(value, section):
            for text in kind.key_faults(drop_empty(entry)):
                yield Fault((section, key), text)


def _entries(value: Any, section: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    entries = value.get(section) if isinstance(value, Mapping) else None
    if isinstance(entries, Mapping):
        for key, entry in entries.items():
            if isinstance(entry, Mapping):
                yield key, entry


def _loose_images(value: Any) -> Iterator[Fault]:
    for key, entry in _entries(value, "images"):
        reference = entry.get("pull")
        if isinstance(reference, str):
            try:
                reason = unpinned(reference)
            except ValueError:
                continue  # told as a fault of its shape
            if reason:
                yield Fault(("images", key, "pull"), reason)


def _missing_files(value: Any, base: Path) -> list[Fault]:
    faults: list[Fault] = []

    def look(place: Place, text: Any, kind: str) -> Path | None:
        if not isinstance(text, str) or not text or "\0" in text:
            return None
        path = base / os.path.expanduser(text)
        # os.path, since pathlib raises for names that no file system takes.
        if os.path.isdir(path) if kind == "directory" else os.path.isfile(path):
            return path
        what = "is not a " + kind if os.path.exists(path) else "does not exist"
        faults.append(Fault(place, f"{path} {what}"))
        return None

    for place, path, kind in _plain_paths(value):
        look(place, path, kind)
    for key, entry in _entries(value, "images"):
        build = entry.get("build")
        if isinstance(build, Mapping):
            at: Place = ("images", key, "build")
            context = look((*at, "context"), build.get("context"), "directory")
            dockerfile = build.get("dockerfile", "Dockerfile")
            if context and isinstance(dockerfile, str):
                look((*at, "dockerfile"), str(context / dockerfile), "file")
            secrets = build.get("secrets")
            for name, secret in secrets.items() if isinstance(secrets, dict) else ():
                look((*at, "secrets", name), secret, "file")
    return faults


def _plain_paths(value: Any) -> Iterator[tuple[Place, Any, str]]:
    """Yield what names a file or a directory: its place, itself, and which of them."""
    for section in ("models", "volumes"):
        for key, entry in _entries(value, section):
            yield (section, key, "path"), entry.get("path"), "directory"
    for key, entry in _entries(value, "models"):
        ollama = entry.get("ollama")
        if isinstance(ollama, Mapping):
            at: Place = ("models", key, "ollama")
            yield (*at, "store"), ollama.get("store"), "directory"
            made = ollama.get("create")
            for each in (ollama, *(made if isinstance(made, list) else ())):
                for file in ("gguf", "modelfile") if isinstance(each, Mapping) else ():
                    yield (*at, file), each.get(file), "file"
    if isinstance(value, Mapping):
        stack = value.get("stack")
        for path in stack if isinstance(stack, list) else [stack]:
            yield ("stack",), path, "file"
