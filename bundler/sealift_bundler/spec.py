"""The bundle spec, `sealift.yaml`: what a bundle shall hold.

Values and their shape. Reading a file, and all that needs the disk, is in
spec_load; nothing here asks a hub, a registry or an engine.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
)
from sealift_manifests.references import qualify, read_reference

from sealift_bundler.spec_ollama import OLLAMA_SCHEMA, OllamaSpec, short_ollama
from sealift_bundler.spec_settings import (
    SecretEntry,
    SettingName,
    SettingSpec,
    SiteSpec,
)
from sealift_bundler.spec_smoke import SmokeSpec
from sealift_bundler.spec_values import (
    AS_WRITTEN,
    Integer,
    Label,
    LocalPath,
    LocalPaths,
    Part,
    Reference,
    Text,
    Texts,
    Version,
    as_integer,
)
from sealift_bundler.spec_volumes import VolumeSpec

SCHEMA_NAME = ".sealift.schema.json"
"""What `sealift init` calls the schema that it writes beside a spec."""


Ollama = Annotated[OllamaSpec, BeforeValidator(short_ollama), OLLAMA_SCHEMA]
Risk = Literal["pickle", "code"]
Platform = Literal["linux/amd64", "linux/arm64"]


class ModelSpec(Part):
    """A model: a Hugging Face repo, models of Ollama, or a local directory."""

    huggingface: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")] | None = None
    """Repo on the Hugging Face Hub: organisation/name."""
    revision: Annotated[Text, AS_WRITTEN] | None = None
    """Tag, branch or commit of the repo; the lock file pins the commit."""
    path: LocalPath | None = None
    """A directory on this machine."""
    ollama: (
        Annotated[OllamaSpec, BeforeValidator(short_ollama), OLLAMA_SCHEMA] | None
    ) = None
    """Models of Ollama: NAME:TAG, a list of these, a store, or a GGUF file."""
    include: Texts = ()
    """Take only files that match one of these patterns."""
    ignore: Texts = ()
    """Leave out files that match one of these patterns."""
    layout: Literal["flat", "hf-cache"] = "flat"
    """How containers see it: its files, or a Hub cache (HF_HUB_CACHE)."""
    allow: Annotated[tuple[Risk, ...], Field(strict=False)] = ()
    """Risks taken knowingly: files that run code when they are loaded."""
    not_secret: Texts = ()
    """Files that look as if they held secrets, and do not: patterns of paths."""

    @classmethod
    def key_faults(cls, value: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the keys that are given, whatever they hold."""
        if len({"huggingface", "path", "ollama"} & set(value)) != 1:
            yield "give one of huggingface, path and ollama"
        if "huggingface" in value and "revision" not in value:
            yield "revision is missing; give a tag or, best, a 40-digit commit"
        if "revision" in value and "huggingface" not in value:
            yield "revision goes with huggingface only"
        if "huggingface" not in value and str(value.get("layout")) == "hf-cache":
            yield "layout hf-cache goes with huggingface only; use flat"
        for key in ("include", "ignore", "allow"):
            if "ollama" in value and key in value:
                yield f"{key} does not go with ollama: a model is taken whole"


class BuildSpec(Part):
    """An image that is built here, with BuildKit."""

    context: LocalPath
    """The directory that the build sees."""
    dockerfile: Text = "Dockerfile"
    """The Dockerfile, as a path below the context."""
    target: Text | None = None
    """The stage to stop at."""
    args: dict[Text, Annotated[str, AS_WRITTEN]] = {}
    """Build arguments. They stay readable in the image: no secrets."""
    secrets: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")], LocalPath] = {}
    """Secret id and the file that holds it, for RUN --mount=type=secret."""


class ImageSpec(Part):
    """A container image: pulled from a registry, built, or from the local engine."""

    pull: Reference | None = None
    """Reference in a registry, with a tag or a digest."""
    build: BuildSpec | None = None
    """Build it here."""
    engine: Reference | None = None
    """Reference in the local engine."""
    tag: Reference | None = None
    """What a built image is called; without it, bundle-key:version."""
    not_secret: Texts = ()
    """Files in it that look as if they held secrets, and do not: patterns of paths."""

    @classmethod
    def key_faults(cls, value: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the keys that are given, whatever they hold."""
        if len({"pull", "build", "engine"} & set(value)) != 1:
            yield "give one of pull, build and engine"
        if "tag" in value and "build" not in value:
            yield "tag goes with build only"

    @property
    def kind(self) -> str:
        """`pull`, `build` or `engine`."""
        return "pull" if self.pull else "build" if self.build else "engine"


class Spec(Part):
    """A Sealift bundle spec."""

    sealift: Annotated[Literal[1], BeforeValidator(as_integer)]
    """The version of this file's format."""
    name: Label
    """Name of the bundle; a host knows its releases by it."""
    version: Version
    """Version of the bundle, for people."""
    platform: Platform = "linux/amd64"
    """What the offline hosts are."""
    serial: Annotated[Integer, Field(gt=0, lt=2**53)] | None = None
    """Orders the bundles of one name; without it, the time of creation."""
    models: dict[Label, ModelSpec] = {}
    """Models, by the name that the stack mounts them under."""
    images: dict[Label, ImageSpec] = {}
    """Images, by a name of your choice."""
    volumes: dict[Label, VolumeSpec] = {}
    """Volumes of data, by the name that the stack mounts them under."""
    stack: LocalPaths = ()
    """The Compose file; or several, merged as by `docker compose -f A -f B`."""
    profiles: Texts = ()
    """Profiles of the Compose file whose services are taken too."""
    settings: dict[SettingName, SettingSpec] = {}
    """What each host may decide: variables of the Compose file, by their names."""
    secrets: dict[Label, SecretEntry] = {}
    """What each host has and no bundle carries, by the names in the Compose file."""
    smoke: Annotated[tuple[SmokeSpec, ...], Field(strict=False)] = ()
    """Questions that the running stack must answer before a start has succeeded."""

    @classmethod
    def key_faults(cls, value: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the keys that are given, whatever they hold."""
        if not (value.get("models") or value.get("images") or value.get("volumes")):
            yield "there is nothing to carry; give models, images or volumes"
        if value.get("stack") and not value.get("images"):
            yield "a stack needs images; list those of its services"
        for key in ("profiles", "settings", "secrets"):
            if value.get(key) and not value.get("stack"):
                yield f"{key} go with a stack"
        models, volumes = value.get("models"), value.get("volumes")
        if isinstance(models, Mapping) and isinstance(volumes, Mapping):
            for name in sorted(map(str, models.keys() & volumes.keys())):
                yield f"{name} is a model and a volume; a mount could mean either"
        if value.get("smoke") and not value.get("stack"):
            yield "smoke tests ask the services of a stack; name its Compose file"

    def reference(self, image: str) -> str:
        """Return the reference of an image as the spec has it."""
        found = self.images[image]
        named = found.pull or found.engine or found.tag
        return named or f"{self.name}-{image}:{self.version}"

    def references(self) -> dict[str, str]:
        """Return the reference of every image, by its key."""
        return {image: self.reference(image) for image in self.images}

    def open_to_sites(self) -> SiteSpec:
        """Return what the stack leaves open for each host to decide."""
        return SiteSpec(
            tuple(held.setting(name) for name, held in self.settings.items()),
            tuple(held.secret(label) for label, held in self.secrets.items()),
        )

    def without_images(self, idle: Collection[str]) -> Spec:
        """Return the spec without these images."""
        if not idle:
            return self
        kept = {key: image for key, image in self.images.items() if key not in idle}
        return self.model_copy(update={"images": kept})

    def serial_at(self, created: datetime) -> int:
        """Return the serial of a bundle made at this time."""
        return self.serial or int(created.astimezone(UTC).strftime("%Y%m%d%H%M%S"))


def unpinned(reference: str) -> str:
    """Say why a reference may mean another image tomorrow; empty if it may not."""
    found = read_reference(reference)
    if not found.is_latest:
        return ""
    return (
        f"{reference} can mean another image tomorrow; name a version, or "
        f"{found.registry}/{found.repository}:TAG@sha256:DIGEST"
    )


def same_references(references: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of image keys that name one reference."""
    seen: dict[str, str] = {}
    for key, reference in references.items():
        first = seen.setdefault(qualify(reference), key)
        if first != key:
            yield first, key


def schema_bytes() -> bytes:
    """Return the JSON schema of the spec, for editors."""
    schema = Spec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return (json.dumps(schema, indent=1, sort_keys=True) + "\n").encode("ascii")
