"""Services that name another one of the file, which must be there and be taken."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sealift_bundler.strictyaml import Fault

_MODES = ("ipc", "network_mode", "pid")


def lost_services(value: Any, left_out: Collection[str]) -> Iterator[Fault]:
    """Yield a fault for each service that is named and is not in the stack.

    `depends_on` is looked at elsewhere.
    """
    services = value.get("services") if isinstance(value, Mapping) else None
    if not isinstance(services, Mapping):
        return
    for name, service in services.items():
        for key, other in _named(service if isinstance(service, Mapping) else {}):
            if other not in services:
                why = (
                    "is left out with its profiles"
                    if other in left_out
                    else "is no service of this file"
                )
                yield Fault(("services", name, key), f"{other!r} {why}")


def _named(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in _MODES:
        kind, colon, other = str(service.get(key) or "").partition(":")
        if kind == "service" and colon:
            yield key, other
    for key in ("links", "volumes_from"):
        written = service.get(key)
        for each in written if isinstance(written, list) else ():
            other = str(each).partition(":")[0]
            if other != "container":
                yield key, other
