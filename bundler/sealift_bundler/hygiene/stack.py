"""What a Compose file asks for that a host without a network cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sealift_manifests.preflight.findings import Finding

from sealift_bundler.compose import Stack

from .catalog import advice

_FETCHING = re.compile(r"always|build|daily|weekly|every_.*")


def stack_advice(stack: Stack) -> Iterator[Finding]:
    """Yield what the host does otherwise, or lacks."""
    for name, volume in (stack.value.get("volumes") or {}).items():
        if name not in stack.used_models and _is_external(volume):
            yield advice("volume-external", "stack", f"volume {name} is external")
    for name, service in stack.value["services"].items():
        yield from _advice(f"service {name}", service)


def _advice(about: str, service: Mapping[str, Any]) -> Iterator[Finding]:
    policy = str(service.get("pull_policy") or "")
    if _FETCHING.fullmatch(policy):
        yield advice("service-pull-policy", about, f"it says {policy}")
    if service.get("build") and service.get("image"):
        yield advice("service-build-section", about, "it has `build` beside `image`")
    if unset := sorted(_unset(service.get("environment"))):
        yield advice("variable-unset", about, f"{', '.join(unset)} is not given")


def _is_external(held: Any) -> bool:
    external = held.get("external") if isinstance(held, Mapping) else None
    return isinstance(external, Mapping) or str(external).lower() == "true"


def _unset(environment: Any) -> Iterator[str]:
    if isinstance(environment, Mapping):
        yield from (str(k) for k, held in environment.items() if held is None)
    elif isinstance(environment, list):
        yield from (str(each) for each in environment if "=" not in str(each))
