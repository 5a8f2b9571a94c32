"""The manifest: what a bundle holds. Values that check themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, Iterator, Optional, Tuple

from sealift_manifests import records, strictjson
from sealift_manifests.digests import Digest
from sealift_manifests.errors import FormatVersionError, ManifestError
from sealift_manifests.image_entries import PLATFORMS, ImageEntry
from sealift_manifests.model_entries import ModelEntry
from sealift_manifests.paths import is_label, is_note, is_version
from sealift_manifests.records import require
from sealift_manifests.settings import FEATURE as SETTINGS_FEATURE
from sealift_manifests.smoke import FEATURE as SMOKE_FEATURE
from sealift_manifests.smoke import SECRETS_FEATURE
from sealift_manifests.stack_entries import StackEntry
from sealift_manifests.volume_entries import FEATURE as VOLUMES_FEATURE
from sealift_manifests.volume_entries import VolumeEntry

FORMAT = 1
BUNDLE_TYPE = "sealift-bundle"
KNOWN_FEATURES: Tuple[str, ...] = (
    *(SETTINGS_FEATURE, SMOKE_FEATURE, SECRETS_FEATURE, VOLUMES_FEATURE),
)
"""Additions to format 1 that this reader understands, by name."""

MAX_MANIFEST = 256 << 20
"""The largest accepted manifest.json, in bytes."""

_CREATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds.

    `serial` orders the bundles of one name; a host refuses a lower one than it
    has had. `facts` here and below are notes for people and for checks on the
    host: a reader may ignore those it does not know. Everything else it must know;
    `features` names additions to the format that a reader must understand.
    """

    format: int
    type: str
    name: str
    version: str
    serial: int
    platform: str
    created: str
    builder: str
    models: Tuple[ModelEntry, ...] = ()
    images: Tuple[ImageEntry, ...] = ()
    stack: Optional[StackEntry] = None
    volumes: Tuple[VolumeEntry, ...] = ()
    features: Tuple[str, ...] = ()
    facts: Dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.type == BUNDLE_TYPE, f"type {self.type!r}")
        require(is_label(self.name), f"bad bundle name {self.name!r}")
        require(is_version(self.version), f"bad version {self.version!r}")
        require(0 < self.serial <= strictjson.MAX_INTEGER, "serial out of range")
        require(self.platform in PLATFORMS, f"unknown platform {self.platform!r}")
        require(_CREATED.match(self.created), f"bad time {self.created!r}")
        datetime.strptime(self.created, "%Y-%m-%dT%H:%M:%SZ")
        require(is_note(self.builder), f"bad builder {self.builder!r}")
        models = [m.name for m in self.models]
        for what, names in (
            ("model", models),
            ("image", [i.name for i in self.images]),
            ("image reference", [i.reference for i in self.images]),
            # A mount names either: the two share their names.
            ("volume", [v.name for v in self.volumes] + models),
        ):
            require(len(names) == len(set(names)), f"a {what} appears twice")
        for image in self.images:
            _check_image(image, self.platform)
        if self.stack:
            _check_services(self.stack, self)
        self._check_features()

    def _check_features(self) -> None:
        # An older reader must say that it is too old, not that this is damaged.
        stack = self.stack
        used = {
            SETTINGS_FEATURE: stack is not None and stack.leaves_open,
            SMOKE_FEATURE: stack is not None and bool(stack.smoke),
            VOLUMES_FEATURE: bool(self.volumes),
        }
        for name, is_used in used.items():
            named = name in self.features
            require(named == is_used, f"{name} and the feature of it go together")
        if SECRETS_FEATURE in self.features:
            known = {each.label for each in stack.secrets} if stack else set()
            sent = stack.sent_secrets if stack else frozenset()
            require(sent, f"no smoke test asks for what {SECRETS_FEATURE} is about")
            require(sent <= known, "a smoke test asks for a secret that is not there")

    def contents(self) -> Iterator[Tuple[Digest, int, str]]:
        """Yield every file the packs must hold: digest, size, and what it is."""
        for model in self.models:
            for file in model.files:
                yield file.digest, file.size, f"model {model.name}: {file.path}"
        for image in self.images:
            for blob in image.blobs:
                yield blob.digest, blob.size, f"image {image.name}: {blob.digest.short}"
        if self.stack:
            for entry in self.stack.files:
                yield entry.digest, entry.size, f"stack: {entry.path}"
        for volume in self.volumes:
            for item in volume.items:
                if item.digest is not None:
                    yield item.digest, item.size, f"volume {volume.name}: {item.path}"


def _check_image(image: ImageEntry, platform: str) -> None:
    require(image.platform == platform, f"image {image.name} is for another platform")
    # Else loading it could take a tag away from what the host has already.
    require(
        image.tag.endswith(image.manifest.digest.short),
        f"the tag of {image.reference} does not end with the image's digest",
    )


def _check_services(stack: StackEntry, manifest: Manifest) -> None:
    images = {image.name for image in manifest.images}
    models = {model.name for model in manifest.models}
    for service in stack.services:
        require(service.image in images, f"service {service.name}: unknown image")
        require(set(service.models) <= models, f"service {service.name}: model")


def check_version(value: Any, known_features: Tuple[str, ...], where: str) -> None:
    """Refuse a document of another format, before its fields are looked at."""
    if not isinstance(value, dict) or type(value.get("format")) is not int:
        raise ManifestError(
            f"{where} does not say its format",
            hint="This is not a Sealift bundle, or it is damaged.",
        )
    features = value.get("features", [])
    unknown = (
        [str(f) for f in features if f not in known_features]
        if isinstance(features, list)
        else ["?"]
    )
    if value["format"] != FORMAT or unknown:
        what = f"format {value['format']}" + "".join(f", {f}" for f in unknown)
        raise FormatVersionError(
            f"{where} needs a reader for {what}; this one reads format {FORMAT}",
            hint="Use the installer that came with this bundle, after checking it "
            "with host tools as INSTALL.md shows.",
        )


def parse_manifest(data: bytes, where: str = "manifest.json") -> Manifest:
    """Parse a manifest whose bytes were verified."""
    value = strictjson.load(data, where)
    check_version(value, KNOWN_FEATURES, where)
    return records.decode(Manifest, value, where)


def dump_manifest(manifest: Manifest) -> bytes:
    """Return the exact bytes of manifest.json."""
    return strictjson.dump(records.encode(manifest))
