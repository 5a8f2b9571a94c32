"""Smoke tests against the Compose file: is there such a service, can it be asked?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sealift_manifests.errors import SpecError
from sealift_manifests.serving.ports import published_targets

from sealift_bundler.composing.source import read_stack
from sealift_bundler.strictyaml import Fault, Place

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")


def smoke_faults(spec: Any, base: Path) -> Iterator[Fault]:
    """Yield what is wrong with the smoke tests of a spec, whose paths begin at `base`.

    What is wrong with their shape, or with the Compose file itself, is told elsewhere.
    """
    tests = spec.get("smoke") if isinstance(spec, Mapping) else None
    if not isinstance(tests, list):
        return
    yield from _doubles(tests)
    secrets = spec.get("secrets")
    known = [*map(str, secrets)] if isinstance(secrets, Mapping) else []
    services = _services(spec, base)
    for number, test in enumerate(tests):
        if not isinstance(test, Mapping):
            continue
        yield from _unknown_secrets(("smoke", number), test, known)
        if services:
            yield from _faults(("smoke", number), test, services)


def _doubles(tests: list[Any]) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for number, test in enumerate(tests):
        name = test.get("name") if isinstance(test, Mapping) else None
        if isinstance(name, str) and seen.setdefault(name, number) != number:
            first = seen[name]
            yield Fault(("smoke", number, "name"), f"is that of smoke[{first}] too")


def _unknown_secrets(
    place: Place, test: Mapping[str, Any], known: list[str]
) -> Iterator[Fault]:
    headers = test.get("headers")
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        for given in _VARIABLE.findall(str(value)):
            kind, _, label = given.partition(":")
            if kind != "secret" or label not in known:
                labels = ", ".join(known) or "none"
                yield Fault(
                    (*place, "headers", name),
                    f"${{{given}}} is no secret of this spec; write ${{secret:LABEL}} "
                    f"with one of `secrets:`, which has {labels}",
                )


def _services(spec: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    paths = [base / Path(path).expanduser() for path in _texts(spec.get("stack"))]
    if not paths:
        return {}
    settings = spec.get("settings")
    left_open = list(settings) if isinstance(settings, Mapping) else []
    try:
        source = read_stack(paths, _texts(spec.get("profiles")), left_open)
        value = source.document.value
    except (SpecError, OSError, ValueError):
        return {}
    services = value.get("services") if isinstance(value, Mapping) else None
    return services if isinstance(services, Mapping) else {}


def _texts(written: Any) -> list[str]:
    listed = written if isinstance(written, list) else [written]
    return [each for each in listed if isinstance(each, str) and each]


def _faults(
    place: Place, test: Mapping[str, Any], services: Mapping[str, Any]
) -> Iterator[Fault]:
    name = test.get("service")
    if not isinstance(name, str):
        return
    if name not in services:
        near = difflib.get_close_matches(name, map(str, services), 1)
        guess = f"did you mean {near[0]}? " if near else ""
        yield Fault(
            (*place, "service"),
            f"the stack has no service {name!r}; {guess}services: "
            + ", ".join(sorted(map(str, services))),
        )
        return
    service = services[name]
    if not isinstance(service, Mapping):
        return
    if str(service.get("network_mode")) == "none":
        yield Fault((*place, "service"), f"{name} has no network, so nobody can ask it")
    port = str(test.get("port"))
    for published, target in published_targets(service):
        if port == published and port != target:
            yield Fault(
                (*place, "port"),
                f"{port} is the host's side of {published}:{target}; give the "
                f"container's, {target}",
            )
