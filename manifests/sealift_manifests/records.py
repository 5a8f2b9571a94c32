"""Strict decoding of JSON objects into frozen dataclasses, and back.

A field is required unless it has a default; an optional field that equals its
default is left out when written. Unknown and missing fields, and wrong types,
are refused with the path of the field. `Dict[str, Any]` fields stay as they are.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, Callable, Dict, Tuple, TypeVar, Union, get_type_hints

from sealift_manifests.digests import Digest
from sealift_manifests.errors import FormatVersionError, ManifestError

T = TypeVar("T")

_HINT = (
    "The document is damaged, or a newer Sealift made it. Ask for a bundle for "
    "your version."
)


def require(condition: object, message: str) -> None:
    """Raise ValueError unless the condition holds: for values that check themselves."""
    if not condition:
        raise ValueError(message)


def decode(kind: Callable[..., T], value: Any, where: str) -> T:
    """Return `value` (parsed JSON) as a `kind`, or raise ManifestError."""
    if not isinstance(value, dict):
        raise _fault(where, "must be an object")
    fields = _fields(kind)
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise _fault(where, f"has an unknown field {unknown[0]!r}")
    arguments = {}
    for name, (hint, required) in fields.items():
        if name in value:
            arguments[name] = _convert(hint, value[name], f"{where}.{name}")
        elif required:
            raise _fault(where, f"lacks the field {name!r}")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise _fault(where, str(error)) from error


def encode(record: Any) -> Any:
    """Return a record as values for JSON."""
    if dataclasses.is_dataclass(record):
        return {
            field.name: encode(getattr(record, field.name))
            for field in dataclasses.fields(record)
            if _is_required(field) or getattr(record, field.name) != _default(field)
        }
    if isinstance(record, tuple):
        return [encode(item) for item in record]
    return record


@dataclasses.dataclass(frozen=True)
class Head:
    """The `type` and `format` that an unsigned document of its own begins with.

    `what` it is called, where one comes from, and how to get one of this format.
    """

    type: str
    format: int
    what: str
    source: str
    remedy: str

    def check(self, value: Any, where: str) -> None:
        """Raise ManifestError for another document, FormatVersionError for a format."""
        if not isinstance(value, dict) or value.get("type") != self.type:
            raise ManifestError(f"{where} is not {self.what}", hint=self.source)
        if type(value.get("format")) is not int or value["format"] != self.format:
            raise FormatVersionError(
                f"{where} is {self.what}, of format {value.get('format')!r}; this one "
                f"reads format {self.format}",
                hint=self.remedy,
            )


@lru_cache(maxsize=None)
def _fields(kind: Any) -> Dict[str, Tuple[Any, bool]]:
    hints = get_type_hints(kind)
    return {
        field.name: (hints[field.name], _is_required(field))
        for field in dataclasses.fields(kind)
    }


def _is_required(field: Any) -> bool:
    return (
        field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )


def _default(field: Any) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory()


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = getattr(hint, "__origin__", None)
    if origin is Union:
        inner = [item for item in hint.__args__ if item is not type(None)]
        return None if value is None else _convert(inner[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _fault(where, "must be a list")
        item = hint.__args__[0]
        return tuple(
            _convert(item, each, f"{where}[{n}]") for n, each in enumerate(value)
        )
    if origin is dict:
        if not isinstance(value, dict):
            raise _fault(where, "must be an object")
        return value
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return decode(hint, value, where)
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Digest:
        try:
            return Digest(value)
        except (ValueError, TypeError) as error:
            raise _fault(where, "must be 'sha256:' and 64 hex digits") from error
    if type(value) is not hint:
        raise _fault(where, f"must be of type {hint.__name__}")
    return value


def _fault(where: str, what: str) -> ManifestError:
    return ManifestError(f"{where} {what}", hint=_HINT)
