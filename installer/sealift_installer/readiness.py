"""Is a server ready that has no health check? Asks it where it is known to say so.

Where each service answers was found out at build time, from its image and command;
it travels as a note of the stack.
"""

from __future__ import annotations

from typing import Dict, Mapping, Optional

from sealift_manifests.readiness import Endpoint, endpoints_of
from sealift_manifests.stack_entries import StackEntry

from sealift_installer.asking import AskError, ask
from sealift_installer.engine import Engine, name_in_path
from sealift_installer.reach import address_of
from sealift_installer.service_state import ServiceState
from sealift_installer.tls_probe import speaks_tls

_PATIENCE = 5.0
_LOCKED = (401, 403)
"""It is up and answers; only, it wants a key."""


class Readiness:
    """Asks the services of a stack whether they are ready, and keeps what they said."""

    def __init__(self, engine: Engine, stack: Optional[StackEntry]) -> None:
        self._engine = engine
        self._endpoints: Mapping[str, Endpoint] = endpoints_of(stack) if stack else {}
        self._rootless: Optional[bool] = None
        self.said: Dict[str, str] = {}

    def __call__(self, state: ServiceState) -> Optional[bool]:
        """Say whether a container is ready; None where nobody knows how to ask."""
        endpoint = self._endpoints.get(state.service)
        if endpoint is None:
            return None
        path = f"/containers/{name_in_path(state.container)}/json"
        shown = self._engine.find(path) or {}
        if self._rootless is None:
            self._rootless = self._engine.facts().rootless
        address = address_of(shown, endpoint.port, rootless=self._rootless)
        if address is None:
            return None
        what = f"{endpoint.server} at {address}{endpoint.path}"
        try:
            reply = ask(address, "GET", endpoint.path, _PATIENCE)
        except AskError as error:
            self.said[state.container] = f"{what}: {error}"
            unknown = error.no_way or error.strange
            if error.refused and speaks_tls(address, _PATIENCE):
                self.said[state.container] += "; it speaks TLS"
                unknown = True
            return None if unknown else False
        self.said[state.container] = f"{what}: status {reply.status}"
        return 200 <= reply.status < 300 or reply.status in _LOCKED

    def fault_of(self, state: ServiceState) -> Optional[str]:
        """Return, in words, that a container without a health check is not ready."""
        if state.status != "running" or state.health is not None:
            return None
        if self(state) is not False:
            return None
        return f"it runs, and is not ready: {self.said[state.container]}"
