"""Takes out what only newer Compose knows and a host can do without.

docker-compose 1.29 refuses a file for a key that it does not know. What is taken out
here changes how fast or how soon something happens, never what runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealift_bundler.strictyaml import Plain

_OF_SERVICES = frozenset(("annotations", "attach", "develop"))
_OF_DEPENDENCIES = frozenset(("required", "restart"))
_OF_CHECKS = frozenset(("start_interval",))
_OF_PORTS = frozenset(("app_protocol", "name"))


def for_older_compose(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service that both lines of Compose take, as far as that is possible."""
    kept = {key: held for key, held in service.items() if key not in _OF_SERVICES}
    needed = kept.get("depends_on")
    if isinstance(needed, Mapping):
        kept["depends_on"] = {
            name: _without(held or {Plain("condition"): Plain("service_started")})
            for name, held in needed.items()
        }
    check = kept.get("healthcheck")
    if isinstance(check, Mapping):
        kept["healthcheck"] = _but(check, _OF_CHECKS)
    ports = kept.get("ports")
    if isinstance(ports, list):
        kept["ports"] = [_but(port, _OF_PORTS) for port in ports]
    return kept


def _without(dependency: Any) -> Any:
    return _but(dependency, _OF_DEPENDENCIES)


def _but(held: Any, dropped: frozenset[str]) -> Any:
    if not isinstance(held, Mapping):
        return held
    return {key: value for key, value in held.items() if key not in dropped}
