"""Models of Ollama in a bundle spec: pulled, out of a store, or made of a GGUF file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from sealift_bundler.ollama.names import read_name
from sealift_bundler.spec_values import LocalPath, Part, Text

_TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_CREATE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["model"],
    "properties": {
        "model": {"type": "string"},
        "gguf": {"type": "string"},
        "modelfile": {"type": "string"},
    },
}
OLLAMA_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            _TEXTS,
            _CREATE,
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "model": {"type": "string"},
                    "models": _TEXTS,
                    "store": {"type": "string"},
                    "create": {"type": "array", "items": _CREATE},
                },
            },
        ]
    }
)


def short_ollama(value: Any) -> Any:
    """Take the short forms: a name, a list of names, one of a store, one made here."""
    if isinstance(value, str):
        return {"models": [value]}
    if isinstance(value, list):
        return {"models": value}
    if not isinstance(value, dict):
        return value
    if {"gguf", "modelfile"} & set(value) and not {"models", "create"} & set(value):
        return {"create": [value]}
    if set(value) == {"store", "model"}:
        one = value["model"]
        return {
            "store": value["store"],
            "models": [one] if isinstance(one, str) else one,
        }
    return value


def _ollama_name(text: str) -> str:
    read_name(text)
    return text


OllamaModelName = Annotated[Text, AfterValidator(_ollama_name)]


class CreateSpec(Part):
    """A model that is made here, as `ollama create` would make it."""

    model: OllamaModelName
    """What it is called: a name with a tag."""
    gguf: LocalPath | None = None
    """The GGUF file; without it, the one that the Modelfile's FROM names."""
    modelfile: LocalPath | None = None
    """The Modelfile; without it, the GGUF file alone makes the model."""

    @classmethod
    def key_faults(cls, value: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the keys that are given, whatever they hold."""
        if not {"gguf", "modelfile"} & set(value):
            yield "give gguf, modelfile, or both"


class OllamaSpec(Part):
    """Models of Ollama that a container sees as one store."""

    models: Annotated[tuple[OllamaModelName, ...], Field(strict=False)] = ()
    """Names with tags, such as llama3.2:1b; `model` for a single one."""
    store: LocalPath | None = None
    """Take them from this store (OLLAMA_MODELS), not from their registry."""
    create: Annotated[tuple[CreateSpec, ...], Field(strict=False)] = ()
    """Make these of GGUF files and Modelfiles."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all models, as they were written."""
        return (*self.models, *(made.model for made in self.create))

    @model_validator(mode="after")
    def _names_agree(self) -> OllamaSpec:
        if not self.names:
            raise ValueError("names no model")
        names = [read_name(name).familiar for name in self.names]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names twice: {', '.join(twice)}")
        return self
