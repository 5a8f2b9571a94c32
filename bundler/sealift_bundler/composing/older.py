"""Writes a service so that docker-compose 1.29 takes it too.

It refuses a file for a key that it does not know. What is taken out here changes how
fast or how soon something happens, never what runs; the rest is said in older words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealift_bundler.strictyaml import Plain

_OF_SERVICES = frozenset(("annotations", "attach", "develop"))
_OF_DEPENDENCIES = frozenset(("required", "restart"))
_OF_CHECKS = frozenset(("start_interval",))
_OF_PORTS = frozenset(("app_protocol", "name"))
_TEXTS = ("annotations", "environment", "labels", "sysctls")


def for_older_compose(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service that both lines of Compose take, as far as that is possible."""
    kept = {
        key: held
        for key, held in service.items()
        # A key without a value is as if it were not there, but not to 1.29.
        if key not in _OF_SERVICES and held is not None
    }
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
        kept["ports"] = [_port(_but(port, _OF_PORTS)) for port in ports]
    for key in _TEXTS:
        if isinstance(kept.get(key), Mapping):
            kept[key] = {name: _as_text(held) for name, held in kept[key].items()}
    return kept


def _port(port: Any) -> Any:
    """Return a port of an address in the short form: 1.29 has no key for addresses."""
    if not isinstance(port, Mapping) or not port.get("host_ip"):
        return port
    address, target = str(port["host_ip"]), port.get("target")
    address = f"[{address}]" if ":" in address else address
    protocol = f"/{port['protocol']}" if port.get("protocol") else ""
    return f"{address}:{port.get('published') or ''}:{target}{protocol}"


def _as_text(held: Any) -> Any:
    """Return a boolean as a text: of those 1.29 takes none for a variable."""
    is_boolean = isinstance(held, Plain) and held.kind == "bool"
    return str(held) if is_boolean else held


def _without(dependency: Any) -> Any:
    return _but(dependency, _OF_DEPENDENCIES)


def _but(held: Any, dropped: frozenset[str]) -> Any:
    if not isinstance(held, Mapping):
        return held
    return {key: value for key, value in held.items() if key not in dropped}
