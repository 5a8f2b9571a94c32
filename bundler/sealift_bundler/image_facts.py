"""What an image's config says that matters for later checks. Pure."""

from __future__ import annotations

import json
from typing import Any

from sealift_manifests.errors import SourceContentError

from sealift_bundler.insides.needs import ImageConfig


def image_facts(config: bytes, name: str) -> dict[str, Any]:
    """Return facts for the manifest: when it was made, its user, ports, health check.

    Raises SourceContentError for a config that is not JSON.
    """
    document, inner = _parts(config, name)
    facts = {
        "created": document.get("created"),
        "user": inner.get("User"),
        "exposed_ports": sorted(inner.get("ExposedPorts") or ()),
        "healthcheck": bool(inner.get("Healthcheck")),
    }
    return {key: value for key, value in facts.items() if value not in (None, "", [])}


def image_config(config: bytes, name: str) -> ImageConfig:
    """Return how an image is run, from the bytes of its config."""
    return ImageConfig.of(_parts(config, name)[1])


def _parts(config: bytes, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the whole config and its part `config`."""
    try:
        document = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise _invalid(name, str(error)) from error
    inner = document.get("config") or {} if isinstance(document, dict) else None
    if not isinstance(inner, dict):
        raise _invalid(name, "it is not an object")
    return document, inner


def _invalid(name: str, why: str) -> SourceContentError:
    return SourceContentError(
        f"the config of image {name} is not valid: {why}",
        hint="Build or pull the image again.",
    )
