"""A Compose service and its image, as people write them and as a build reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sealift_bundler.compose import parse_stack
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.serving.services import services_needs
from sealift_manifests.preflight.needs import ServiceNeeds

VLLM = ImageConfig({"NVIDIA_VISIBLE_DEVICES": "all"}, ("vllm", "serve"))
OTHER = ImageConfig({}, (), ("/bin/sh",))


def needs(
    tmp_path: Path,
    image: ImageConfig | None = VLLM,
    files: dict[str, str] | None = None,
    **service: Any,
) -> ServiceNeeds:
    """Return the needs of one service, through the Compose file that says it."""
    for name, text in (files or {}).items():
        (tmp_path / name).write_text(text)
    value = {"services": {"llm": {"image": "app:1", **service}}}
    path = tmp_path / "compose.yaml"
    path.write_text(json.dumps(value))
    stack = parse_stack(path, {"app": "app:1"}, ["chat"])
    (found,) = services_needs(stack, {"app": image} if image else {})
    return found
