"""What a Compose file leaves to the host: variables that are settings, and secrets.

Says what is wrong with them, and writes them so that the file can be read by itself:
each variable with its default, each secret with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sealift_manifests.settings import (
    SECRETS_VARIABLE,
    STAMP_VARIABLE,
    Setting,
)
from sealift_manifests.site_values import (
    unknown_names,
)

from sealift_bundler.spec_settings import SiteSpec
from sealift_bundler.strictyaml import Fault, Place, Plain

STAMP_LABEL = "sealift.secrets"
"""The label by which Compose sees that a secret of a service is another."""

VARIABLE = re.compile(r"\$(?:\$|\{([^}]*)\}|([A-Za-z_]\w*))")
"""A variable in a text of a Compose file, in braces or bare; or a doubled dollar."""

_PARTS = re.compile(r"([A-Za-z_]\w*)(.*)", re.DOTALL)
_DEFAULT = re.compile(r"(?:(?P<ask>:?\?).*|:?-(?P<default>.*))?\Z", re.DOTALL)
_GPU_COUNT = re.compile(
    r"services\.[^.]+\.deploy\.resources\.reservations\.devices\.\d+\.count"
)


def names_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield each variable of a text: its name, and what follows it in the braces."""
    for braced, bare in VARIABLE.findall(text):
        found = _PARTS.match(braced)
        if bare:
            yield bare, ""
        elif found:
            yield found[1], found[2]


class SiteCheck:
    """Follows the variables and secrets of a Compose file, and says what is wrong."""

    def __init__(self, site: SiteSpec) -> None:
        self._settings = {setting.name: setting for setting in site.settings}
        self._secrets = {secret.label for secret in site.secrets}
        self._used: set[str] = set()

    def is_setting(self, name: str) -> bool:
        """Say whether a variable is a setting of the spec."""
        return name in self._settings

    def meant(self, name: str) -> str:
        """Return a hint at the setting that an undeclared variable may mean."""
        if not self._settings:
            return "declare it under `settings:` in the spec, "
        (fault,) = unknown_names(self._settings.values(), [name])
        return f"{fault.message}; "

    def variable_faults(self, place: Place, text: str) -> Iterator[Fault]:
        """Yield what is wrong with the settings in a text; they count as used."""
        if str(place[0]).startswith("x-") or place[0] in ("version", "name"):
            return  # It is not carried; where it is merged in, it is seen again.
        for name, rest in names_in(text):
            setting = self._settings.get(name)
            if setting is None:
                continue
            self._used.add(name)
            yield from (Fault(place, fault) for fault in _misused(setting, rest, place))

    def secret_faults(self, value: Mapping[str, Any]) -> Iterator[Fault]:
        """Yield what is wrong with the secrets of a file, all but their files."""
        held = value.get("secrets")
        declared = held if isinstance(held, Mapping) else {}
        for label in sorted(self._secrets & set(declared)):
            if declared[label]:
                yield Fault(
                    ("secrets", label),
                    "is a secret of the spec; leave its settings out: the host has it",
                )
        services = value.get("services")
        used = set()
        for name, service in services.items() if isinstance(services, Mapping) else ():
            for number, label in secrets_of(service):
                used.add(label)
                if label not in self._secrets and label not in declared:
                    yield Fault(
                        ("services", name, "secrets", number),
                        f"{label!r} is no secret of the spec and none of this file",
                    )
        for label in sorted(self._secrets - used):
            yield Fault((), f"no service uses the secret {label} of the spec")

    def unused(self) -> Iterator[Fault]:
        """Yield the settings that no variable stands for."""
        for name in self._settings:
            if name not in self._used:
                yield Fault((), f"nothing uses the setting {name} of the spec")


def secrets_of(service: Any) -> Iterator[tuple[int, str]]:
    """Yield the secrets of a service, each with its place in the list."""
    listed = service.get("secrets") if isinstance(service, Mapping) else None
    for number, each in enumerate(listed if isinstance(listed, list) else ()):
        yield number, str(each.get("source") if isinstance(each, Mapping) else each)


def _misused(setting: Setting, rest: str, place: Place) -> Iterator[str]:
    found = _DEFAULT.match(rest)
    written = found["default"] if found else None
    if found is None:
        yield f"${{{setting.name}{rest}}} is not how a setting is written; write " + (
            f"${{{setting.name}}}"
        )
    elif written is not None and setting.default is None:
        yield f"{setting.name} has a default here and none in the spec"
    elif written is not None and not _is_same(setting, written):
        yield (
            f"the default of {setting.name} is {written!r} here and "
            f"{setting.default!r} in the spec"
        )
    if _GPU_COUNT.match(".".join(map(str, place))):
        yield (
            "docker-compose 1.29 takes no variable for the count of GPUs; name them: "
            f'device_ids: ["${{{setting.name}}}"], with a setting of type gpus'
        )


def _is_same(setting: Setting, written: str) -> bool:
    try:
        return setting.read(written) == setting.default
    except ValueError:
        return False


def with_settings(value: Any, site: SiteSpec) -> Any:
    """Return a value with each setting written out: `${NAME-default}`."""
    settings = {setting.name: setting for setting in site.settings}

    def fill(match: re.Match[str]) -> str:
        for name, _ in names_in(match[0]):
            if name in settings:
                return _written(settings[name])
        return match[0]

    def rewrite(held: Any) -> Any:
        if isinstance(held, Mapping):
            return {key: rewrite(each) for key, each in held.items()}
        if isinstance(held, list):
            return [rewrite(each) for each in held]
        if not isinstance(held, str):
            return held
        text = VARIABLE.sub(fill, held)
        return Plain(text, held.kind) if isinstance(held, Plain) else text

    return rewrite(value) if settings else value


def _written(setting: Setting) -> str:
    # Not `:-`, which would put the default in place of a text that is empty.
    if setting.default is not None:
        return f"${{{setting.name}-{setting.default}}}"
    return f"${{{setting.name}?is a setting of this site without a value}}"


def with_secrets(value: dict[str, Any], site: SiteSpec) -> dict[str, Any]:
    """Return a file with the place of each secret of the spec.

    Services that use one get a label that changes with it: Compose would not see that a
    file is another.
    """
    labels = {secret.label for secret in site.secrets}
    if not labels:
        return value
    others = {k: v for k, v in (value.get("secrets") or {}).items() if k not in labels}
    place = f"${{{SECRETS_VARIABLE}?is set by the installer}}"
    ours = {
        Plain(label): {Plain("file"): f"{place}/{label}"} for label in sorted(labels)
    }
    services = {
        name: _stamped(service)
        if labels & {label for _, label in secrets_of(service)}
        else service
        for name, service in value["services"].items()
    }
    return {**value, "services": services, "secrets": {**others, **ours}}


def _stamped(service: Mapping[str, Any]) -> dict[str, Any]:
    stamp = f"${{{STAMP_VARIABLE}-}}"
    labels = service.get("labels")
    if isinstance(labels, list):
        return {**service, "labels": [*labels, f"{STAMP_LABEL}={stamp}"]}
    return {**service, "labels": {**(labels or {}), STAMP_LABEL: stamp}}
