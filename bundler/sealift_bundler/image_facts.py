"""What an image's config says that matters for later checks. Pure."""

from __future__ import annotations

import json
from typing import Any

from sealift_manifests.errors import SourceContentError

_CUDA = ("CUDA_VERSION", "NV_CUDA_CUDART_VERSION")


def image_facts(config: bytes, name: str) -> dict[str, Any]:
    """Return facts for the manifest: user, ports, CUDA version, NVIDIA_REQUIRE_*.

    Of the environment only these variables are copied. Raises SourceContentError
    for a config that is not JSON.
    """
    try:
        document = json.loads(config)
        inner = document.get("config") or {}
        variables = dict(item.partition("=")[::2] for item in inner.get("Env") or ())
    except (ValueError, AttributeError, TypeError) as error:
        raise SourceContentError(
            f"the config of image {name} is not valid: {error}",
            hint="Build or pull the image again.",
        ) from error
    requirements = {
        key: value
        for key, value in sorted(variables.items())
        if key.startswith("NVIDIA_REQUIRE_") or key in _CUDA
    }
    facts = {
        "created": document.get("created"),
        "user": inner.get("User"),
        "exposed_ports": sorted(inner.get("ExposedPorts") or ()),
        "healthcheck": bool(inner.get("Healthcheck")),
        "environment": requirements,
    }
    return {key: value for key, value in facts.items() if value not in (None, "", [])}
