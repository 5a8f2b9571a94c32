"""Where this host reaches a port of a container: published, or on its own address.

Pure: reads what the engine tells of a container.
"""

from __future__ import annotations

from typing import Any, List, Mapping, NamedTuple, Optional

_ANY = ("", "0.0.0.0", "::")
_LOOPBACKS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class Address(NamedTuple):
    """An address of this host's network, and a port there."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address_of(shown: Mapping[str, Any], port: int) -> Optional[Address]:
    """Return where a container's TCP port is reached; None for one that is nowhere.

    A port published on the loopback comes first, then the host's own network, then
    the container's address on a network of the engine, then other published ones.
    """
    network = shown.get("NetworkSettings") or {}
    bound = [
        Address(str(each.get("HostIp") or ""), int(each.get("HostPort") or 0))
        for each in (network.get("Ports") or {}).get(f"{port}/tcp") or ()
    ]
    # The IPv4 one first: an engine may publish on :: where the host has no IPv6.
    bound.sort(key=lambda one: ":" in one.host)
    for one in bound:
        if one.port and (one.host in _ANY or _is_loopback(one.host)):
            return Address(_LOOPBACKS.get(one.host, one.host), one.port)
    if str((shown.get("HostConfig") or {}).get("NetworkMode")) == "host":
        return Address("127.0.0.1", port)
    for address in _own_addresses(network):
        return Address(address, port)
    return next((one for one in bound if one.port), None)


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


def _own_addresses(network: Mapping[str, Any]) -> List[str]:
    networks = (network.get("Networks") or {}).items()
    return [
        str((each or {}).get(key))
        for key in ("IPAddress", "GlobalIPv6Address")
        for _, each in sorted(networks)
        if (each or {}).get(key)
    ]
