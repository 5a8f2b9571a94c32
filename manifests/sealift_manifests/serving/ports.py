"""Which ports of the host a Compose service publishes."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, Optional, Tuple

from sealift_manifests.preflight.needs import PublishedPort
from sealift_manifests.serving.words import resolved

_SHORT = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:.]*\]|[^:\[\]]*):)?(?:(?P<published>[0-9-]*):)"
    r"(?P<target>[0-9-]+)(?:/(?P<protocol>\w+))?\Z"
)
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")


def published_ports(service: Mapping[str, Any]) -> Optional[Tuple[PublishedPort, ...]]:
    """Return the ports a service takes; None where that cannot be told."""
    if resolved(service.get("network_mode")) == "host":
        return None
    written = service.get("ports") or []
    if not isinstance(written, list):
        return None
    try:
        return tuple(port for each in written for port in _ports(each))
    except ValueError:
        return None


def published_targets(service: Mapping[str, Any]) -> Iterator[Tuple[str, str]]:
    """Yield single ports of the host with the container's, as far as they are known."""
    written = service.get("ports")
    for each in written if isinstance(written, list) else ():
        if isinstance(each, Mapping):
            published, target = map(
                resolved, (each.get("published"), each.get("target"))
            )
        else:
            match = _SHORT.match(resolved(each) or "")
            published, target = (
                (match["published"], match["target"]) if match else (None, None)
            )
        if (published or "").isdigit() and (target or "").isdigit():
            yield published or "", target or ""


def _ports(written: Any) -> Iterator[PublishedPort]:
    if isinstance(written, Mapping):
        parts = ("published", "host_ip", "protocol", "target")
        values = [written.get(key) for key in parts]
        texts = ["" if each is None else resolved(each) for each in values]
    else:
        text = resolved(written)
        if text is not None and re.match(r"[0-9-]+(?:/\w+)?\Z", text):
            return  # Only the container's side: the engine chooses a free one.
        match = _SHORT.match(text or "")
        if not match:
            raise ValueError(written)
        texts = [match[key] for key in ("published", "address", "protocol", "target")]
        texts[1] = texts[1] or ""
    published, address, protocol, target = texts
    if published is None or address is None:
        raise ValueError(written)
    if not published:
        return
    if "-" in published and "-" not in (target or ""):
        return  # One port of the container: the engine takes any that is free.
    bounds = _RANGE.match(published)
    first = int(bounds[1]) if bounds else 0
    last = int(bounds[2] or first) if bounds else 0
    if not 0 < first <= last < 1 << 16 or last - first > 1000:
        raise ValueError(written)
    for port in range(first, last + 1):
        yield PublishedPort(port, protocol or "tcp", address.strip("[]"))
