"""How a Compose service asks for GPUs, in any of the four forms."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Optional, Tuple

from sealift_manifests.preflight.needs import ALL, GpuRequest
from sealift_manifests.preflight.paths import CDI_KIND
from sealift_manifests.serving.words import Word, resolved


def gpu_wish(service: Mapping[str, Any]) -> Tuple[bool, Optional[GpuRequest]]:
    """Return whether a service asks for GPUs, and how; None for a way of its own.

    Of several forms the one that names devices counts: it is what the engine grants.
    """
    for request in _requests(service):
        return True, request
    devices = service.get("devices")
    paths = [_device(each) for each in devices] if isinstance(devices, list) else []
    return any(path.startswith("/dev/nvidia") for path in paths), None


def _requests(service: Mapping[str, Any]) -> Iterator[GpuRequest]:
    for reservation in _reservations(service):
        yield _request("reservations", reservation)
    gpus = service.get("gpus")
    if isinstance(gpus, list):
        for entry in gpus:
            yield _request("gpus", entry if isinstance(entry, Mapping) else {})
    elif gpus is not None:
        yield GpuRequest("gpus", _count(gpus))
    devices = service.get("devices")
    if isinstance(devices, list):
        ids = [_device(each) for each in devices]
        ids = [each for each in ids if each.startswith(f"{CDI_KIND}=")]
        if ids:
            yield GpuRequest("devices", ids=tuple(ids), driver="cdi")
    if resolved(service.get("runtime")) == "nvidia":
        yield GpuRequest("runtime")


def _reservations(service: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    found: Any = service
    for key in ("deploy", "resources", "reservations", "devices"):
        found = found.get(key) if isinstance(found, Mapping) else None
    for entry in found if isinstance(found, list) else ():
        if not isinstance(entry, Mapping):
            continue
        capabilities = entry.get("capabilities")
        names = capabilities if isinstance(capabilities, list) else []
        if "gpu" in names or "nvidia" in names or entry.get("driver") == "nvidia":
            yield entry


def _request(form: str, entry: Mapping[str, Any]) -> GpuRequest:
    ids = entry.get("device_ids")
    driver = resolved(entry.get("driver"))
    if isinstance(ids, list) and ids:
        names = tuple(_names(map(resolved, ids)))
        if "all" in names:
            return GpuRequest(form, ALL, driver=driver)
        return GpuRequest(form, ids=names, driver=driver)
    count = entry.get("count")
    return GpuRequest(form, ALL if count is None else _count(count), driver=driver)


def _names(written: Iterable[Word]) -> Iterator[str]:
    """Yield the GPUs of a list; one text may hold several, as a setting does.

    None of them is known where one is not.
    """
    texts = list(written)
    if None not in texts:
        yield from (name for text in texts for name in (text or "").split(","))


def _count(value: Any) -> Optional[int]:
    text = resolved(value) or ""
    if text in ("all", "-1"):
        return ALL
    return int(text) if text.isdecimal() and len(text) < 6 else None


def _device(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("source")
    return resolved(value) or ""
