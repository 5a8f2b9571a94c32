"""The values that a bundle spec is made of, and the base of its parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from sealift_manifests.paths import is_label, is_version
from sealift_manifests.references import read_reference


def _label(text: str) -> str:
    if not is_label(text):
        raise ValueError(
            f"{text!r} is not a name; allowed: lowercase letters, digits, - and _, "
            "at most 63, a letter or digit first and last"
        )
    return text


def _version(text: str) -> str:
    if not is_version(text):
        raise ValueError(
            f"{text!r} is not a version; allowed: letters, digits, '.', - and _, at "
            "most 63, a letter or digit first and last"
        )
    return text


def as_integer(value: Any) -> Any:
    """Take digits for a number; leave anything else for the checks that follow."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else value


def _reference(text: str) -> str:
    read_reference(text)
    return text


def _placed(value: Any, info: ValidationInfo) -> Any:
    """Take a path from the directory of the spec, which comes as context."""
    if isinstance(value, str) and value and "\0" not in value:
        base: Path = (info.context or {}).get("base", Path())
        return base / os.path.expanduser(value)
    return value


AS_WRITTEN = WithJsonSchema({"type": ["string", "number", "boolean"]})
"""Marks text that YAML may take for a number or a boolean; it is kept as written."""

Integer = Annotated[int, BeforeValidator(as_integer)]
Text = Annotated[str, Field(min_length=1)]
Label = Annotated[str, AfterValidator(_label)]
Version = Annotated[str, AfterValidator(_version), AS_WRITTEN]
Reference = Annotated[str, AfterValidator(_reference)]
LocalPath = Annotated[
    Path, BeforeValidator(_placed), WithJsonSchema({"type": "string"})
]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]


def _one_or_more(value: Any) -> Any:
    """Take one path for a list of it."""
    return [value] if isinstance(value, str) else value


LocalPaths = Annotated[
    tuple[LocalPath, ...],
    BeforeValidator(_one_or_more),
    Field(strict=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]


class Part(BaseModel):
    """A part of the spec. `key_faults` says which keys do not go together."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    @classmethod
    def key_faults(cls, value: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the keys that are given, whatever they hold."""
        yield from ()

    @model_validator(mode="after")
    def _keys_agree(self) -> Part:
        given = {key: getattr(self, key) for key in self.model_fields_set}
        if faults := list(self.key_faults(drop_empty(given))):
            raise ValueError("; ".join(faults))
        return self


def drop_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given; a key without a value counts as absent."""
    return {key: held for key, held in value.items() if held is not None}
