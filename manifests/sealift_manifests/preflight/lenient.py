"""Reading notes: unknown keys are passed over, wrong types become unknown.

The opposite of `records`, for what a manifest says in its `facts`: those are notes
that a reader may ignore, so a newer or odd one must not stop anybody.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, TypeVar, Union, get_type_hints

T = TypeVar("T")


class Reader:
    """Reads notes into records, and collects in `unread` what had a wrong type."""

    def __init__(self) -> None:
        self.unread: List[str] = []

    def fields(
        self, kind: Callable[..., Any], value: Any, where: str
    ) -> Dict[str, Any]:
        """Return the fields of `kind` that `value` has with the right type."""
        if not isinstance(value, dict):
            self.unread.append(where)
            return {}
        hints = get_type_hints(kind)
        found = {}
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            if field.name not in value:
                continue
            try:
                found[field.name] = self._convert(hints[field.name], value[field.name])
            except (TypeError, ValueError):
                self.unread.append(f"{where}.{field.name}")
        return found

    def _convert(self, hint: Any, value: Any) -> Any:
        origin = getattr(hint, "__origin__", None)
        if origin is Union:
            inner = [item for item in hint.__args__ if item is not type(None)]
            return None if value is None else self._convert(inner[0], value)
        if origin is tuple:
            if not isinstance(value, list):
                raise TypeError
            return tuple(self._convert(hint.__args__[0], each) for each in value)
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise TypeError
            return self._record(hint, value)
        if type(value) is not hint:
            raise TypeError
        return value

    def _record(self, kind: Any, value: Dict[str, Any]) -> Any:
        hints = get_type_hints(kind)
        # A record inside is read whole or not at all: half of one would mislead.
        return kind(
            **{
                name: self._convert(hint, value[name])
                for name, hint in hints.items()
                if name in value
            }
        )
