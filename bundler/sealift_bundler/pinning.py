"""Refuses images that can mean others tomorrow, with the pin that would do.

The registry is asked what such a name means today; where it does not answer, the error
says how a pin is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sealift_manifests.digests import digest_of
from sealift_manifests.errors import SealiftError, UnpinnedSpecError
from sealift_manifests.references import ImageReference, read_reference

from sealift_bundler import strictyaml
from sealift_bundler.registry import HttpPolicy
from sealift_bundler.registry.client import RegistryClient
from sealift_bundler.spec import Spec
from sealift_bundler.spec_load import load_spec

_ONE_TRY = HttpPolicy(attempts=1, connect_timeout=5.0, stall_timeout=10.0)


def load_pinned_spec(path: Path, insecure: frozenset[str]) -> Spec:
    """Read a spec as `load_spec` does; what is not pinned is told with its pin."""
    try:
        return load_spec(path)
    except UnpinnedSpecError as error:
        value = strictyaml.parse(strictyaml.read_text(path), path.name).value
        pins = [
            f"  images.{key}: {{pull: {pin}}}"
            for key, reference in _loose(value)
            if (pin := _pin(reference, insecure))
        ]
        if not pins:
            raise
        raise UnpinnedSpecError(
            error.message,
            hint="Give each image a version tag, or what it means today:\n"
            + "\n".join(pins),
        ) from error


def _loose(value: Mapping[str, Any]) -> Iterator[tuple[str, ImageReference]]:
    for key, entry in value["images"].items():
        if entry.get("pull"):
            reference = read_reference(entry["pull"])
            if reference.is_latest:
                yield key, reference


def _pin(reference: ImageReference, insecure: frozenset[str]) -> str:
    """Return the reference with today's digest; empty if the registry is silent."""
    try:
        client = RegistryClient(reference.registry, insecure=insecure, policy=_ONE_TRY)
        document, _ = client.manifest(reference, reference.wanted)
    except SealiftError:
        return ""
    name = reference.familiar if reference.tag else f"{reference.familiar}:latest"
    return f'"{name}@{digest_of(document)}"'
