"""The Compose stack: from the user's file to the one that the host runs.

Rewrites images and model volumes so that docker-compose 1.29 and Compose v2 both
start it offline. What can be wrong is told by compose_check. Never runs Compose.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import normpath
from typing import Any

from sealift_manifests.errors import SpecError
from sealift_manifests.stack_entries import Service

from sealift_bundler import strictyaml
from sealift_bundler.compose_check import (
    COMPOSE_FILE,
    StackCheck,
    env_files,
    read_volume,
)
from sealift_bundler.compose_site import with_secrets, with_settings
from sealift_bundler.composing.older import for_older_compose
from sealift_bundler.composing.source import read_stack
from sealift_bundler.spec_settings import NOTHING_OPEN, SiteSpec
from sealift_bundler.strictyaml import Document, Fault, Plain

__all__ = ["COMPOSE_FILE", "RenderedStack", "Stack", "parse_stack", "render_stack"]

# 1.29 refuses `name`, v2 warns about `version`, and anchors are written out.
_DROPPED = ("version", "name")
_DROPPED_IN_SERVICES = ("image", "build", "pull_policy")
_YES, _NEVER = Plain("true", "bool"), Plain("never")


@dataclass(frozen=True)
class RenderedStack:
    """The stack as a bundle carries it. `files` are those Compose reads, by path."""

    compose: bytes
    services: tuple[Service, ...]
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Stack:
    """A Compose file that was checked against its spec.

    `images` and `models` say what each service uses; `files` go along. `references`
    are those of the images in the spec, by their keys. Settings of the spec are written
    out in `value`, with their defaults. `texts` is what it was made of, by file,
    `idle` are the images of profiles that are not taken, and `data` the volumes of the
    spec that are mounted.
    """

    where: str
    value: Mapping[str, Any]
    images: Mapping[str, str]
    models: Mapping[str, tuple[str, ...]]
    files: Mapping[str, Path]
    references: Mapping[str, str] = field(default_factory=dict)
    site: SiteSpec = NOTHING_OPEN
    texts: Mapping[str, bytes] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()

    def reference(self, image: str) -> str:
        """Return the reference of an image of the spec, by its key."""
        return self.references[image]

    @property
    def services(self) -> tuple[Service, ...]:
        """The services, each with its image and its models."""
        return tuple(
            Service(str(name), image, self.models[name])
            for name, image in sorted(self.images.items())
        )

    def file(self, written: str) -> Path | None:
        """Return a file that goes along, by its path as the Compose file has it."""
        return self.files.get(normpath(written))

    @property
    def used_models(self) -> list[str]:
        """The models that some service mounts."""
        return sorted({model for models in self.models.values() for model in models})


def parse_stack(
    path: Path | Sequence[Path],
    references: Mapping[str, str],
    models: Collection[str],
    site: SiteSpec = NOTHING_OPEN,
    *,
    profiles: Collection[str] = (),
    data: Collection[str] = (),
) -> Stack:
    """Read Compose files and check them against images, models and volumes of the spec.

    `references` has the reference of each image as the spec has it, by its key; `site`
    what is left to each host.
    Raises SpecError with every fault.
    """
    paths = [path] if isinstance(path, Path) else path
    left_open = [setting.name for setting in site.settings]
    source = read_stack(paths, profiles, left_open)
    check = StackCheck(
        *(paths[0].absolute().parent, references, models, site),
        left_out=source.left_out,
        data=data,
    )
    check.run(source.document.value)
    _require_none(source.document, [*source.faults, *check.faults])
    return Stack(
        where=source.document.where,
        value=with_settings(source.document.value, site),
        images=check.images,
        models=check.models,
        files=check.files,
        references=references,
        site=site,
        texts=source.texts,
        idle=check.images_of(source.left_out) - set(check.images.values()),
        data=frozenset(check.data),
    )


def _require_none(document: Document, faults: Sequence[Fault]) -> None:
    if faults:
        raise SpecError(
            document.describe_all(faults),
            hint="Correct these lines of the Compose file. It runs where nothing can "
            "be pulled or built.",
        )


def render_stack(
    stack: Stack, title: str, loaded: Mapping[str, str], volumes: Mapping[str, str]
) -> RenderedStack:
    """Return the stack as the host runs it.

    `loaded` has the reference each image is loaded under, by its key; `volumes` the
    name of each model's volume and of those of data; `title` is bundle and version,
    for the heading.
    """
    value = {
        key: held
        for key, held in stack.value.items()
        if key not in _DROPPED and not key.startswith("x-")
    }
    value["services"] = {
        name: _service(stack, service, loaded[stack.images[name]])
        for name, service in value["services"].items()
    }
    value[Plain("volumes")] = _volumes(stack, value.get("volumes") or {}, volumes)
    if not value["volumes"]:
        del value["volumes"]
    value = with_secrets(value, stack.site)
    heading = (
        f"# Generated by Sealift from {stack.where} of {title}.\n"
        "# Do not edit: the host compares it with the signed bundle.\n"
    )
    compose = (heading + strictyaml.dump(value)).encode("utf-8")
    return RenderedStack(compose, stack.services, stack.files)


def _volumes(
    stack: Stack, declared: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    used = sorted({*stack.used_models, *stack.data})
    kept: dict[str, Any] = {k: held for k, held in declared.items() if k not in used}
    ours: dict[str, Any] = {
        # External, so that `down -v` leaves the weights and the data alone.
        Plain(name): {Plain("external"): _YES, Plain("name"): names[name]}
        for name in used
    }
    return {**kept, **ours}


def _service(stack: Stack, service: Mapping[str, Any], image: str) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        Plain("image"): image,
        Plain("pull_policy"): _NEVER,
    }
    for key, held in for_older_compose(service).items():
        if key == "volumes":
            rendered[key] = [_mount(stack, each) for each in held or []]
        elif key == "env_file":
            # As plain paths: 1.29 knows no other form.
            paths = [normpath(path) for path, _ in env_files(held)]
            rendered[key] = [path for path in paths if path in stack.files]
        elif key not in _DROPPED_IN_SERVICES:
            rendered[key] = held
    return rendered


def _mount(stack: Stack, written: Any) -> Any:
    volume = read_volume(written)
    if volume is None:
        return written
    if volume.kind == "volume" and volume.source in stack.used_models:
        return {
            Plain("type"): Plain("volume"),
            Plain("source"): Plain(volume.source),
            Plain("target"): volume.target,
            Plain("read_only"): _YES,
            # Else the engine copies the image's files into an empty volume.
            Plain("volume"): {**volume.options, Plain("nocopy"): _YES},
        }
    if volume.kind == "volume" and volume.source in stack.data:
        # As it was asked for, but that nothing of the image gets into the data.
        return {
            Plain("type"): Plain("volume"),
            Plain("source"): Plain(volume.source),
            Plain("target"): volume.target,
            **({Plain("read_only"): _YES} if "ro" in volume.flags else {}),
            Plain("volume"): {**volume.options, Plain("nocopy"): _YES},
        }
    if volume.file:
        flags = ",".join(sorted(volume.flags | {"ro"}))
        return f"./{volume.file}:{volume.target}:{flags}"
    return written
