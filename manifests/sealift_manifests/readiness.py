"""Where servers without a health check say that they are ready, as a note of the stack.

`stack.facts["ready"]` is a list of `service`, `server`, `port` (of the container) and
`path`: a GET there is answered with a status of 2xx as soon as it serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List

from sealift_manifests import records
from sealift_manifests.errors import ManifestError
from sealift_manifests.records import require
from sealift_manifests.stack_entries import StackEntry

NOTE = "ready"

PATHS = {
    "vllm": "/health",
    "tgi": "/health",
    "llama.cpp": "/health",
    "llama-cpp-python": "/v1/models",
    "ollama": "/api/version",
    "qdrant": "/readyz",
}
"""Where each server answers, and not with a 2xx before it is ready."""


@dataclass(frozen=True)
class Endpoint:
    """Where a service says that it is ready."""

    service: str
    server: str
    port: int
    path: str

    def __post_init__(self) -> None:
        require(0 < self.port < 1 << 16, f"{self.port} is no port")
        require(self.path.startswith("/"), f"bad path {self.path!r}")


def ready_facts(endpoints: Iterable[Endpoint]) -> List[Dict[str, Any]]:
    """Return the value of `stack.facts["ready"]`: a list, in order of names."""
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.service)
    return [records.encode(endpoint) for endpoint in ordered]


def endpoints_of(stack: StackEntry) -> Dict[str, Endpoint]:
    """Return the endpoints by service; what cannot be read is as if it were not there.

    It is a note: a bundle made before or after it was known serves without.
    """
    written = stack.facts.get(NOTE)
    found: Dict[str, Endpoint] = {}
    for value in written if isinstance(written, list) else ():
        try:
            endpoint = records.decode(Endpoint, value, NOTE)
        except ManifestError:
            continue
        found[endpoint.service] = endpoint
    return found
