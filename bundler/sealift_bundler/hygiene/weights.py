"""Weights inside of an image that its own server could change.

Those that are mounted are read-only in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sealift_manifests.preflight.findings import Finding
from sealift_manifests.sizes import counted

from sealift_bundler.compose import Stack
from sealift_bundler.insides.layers import Found, LayerView, merged
from sealift_bundler.insides.needs import ImageConfig

from .catalog import advice

_BY_OWNER, _BY_ALL = 0o200, 0o002


def weights_advice(
    stack: Stack,
    configs: Mapping[str, ImageConfig],
    views: Mapping[str, Sequence[LayerView]],
) -> Iterator[Finding]:
    """Yield the services that may write to weights of their image, by image key.

    Root may, whatever their modes: that is a finding of its own.
    """
    for entry in stack.services:
        service: Mapping[str, Any] = stack.value["services"][entry.name]
        user = str(service.get("user") or configs[entry.image].user).partition(":")[0]
        files = merged(views[entry.image]) or {}
        open_to = [path for path, found in files.items() if _may_write(found, user)]
        if open_to and str(service.get("read_only", "")).lower() != "true":
            measured = f"user {user} may write {counted(len(open_to), 'file')}, such as"
            yield advice(
                "image-weights-writable",
                f"service {entry.name}",
                f"{measured} /{min(open_to)}",
            )


def _may_write(found: Found, user: str) -> bool:
    """Say whether a user who is not root may write to these weights.

    A user who is known by name only may be anybody but the owner.
    """
    if not found.is_weights or user in ("", "0", "root"):
        return False
    is_owner = user.isdigit() and int(user) == found.owner
    return bool(found.mode & (_BY_OWNER if is_owner else _BY_ALL))
