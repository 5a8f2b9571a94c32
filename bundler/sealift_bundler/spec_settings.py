"""The parts of a spec about what each host decides: settings and secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from sealift_manifests.settings import Secret, Setting, check_name

from sealift_bundler.spec_values import AS_WRITTEN, Integer, Part, Text


def _name(text: str) -> str:
    check_name(text)
    return text


def _one_line(value: Any) -> Any:
    """Take a help text of several lines, as YAML folds it, for one line."""
    return " ".join(value.split()) if isinstance(value, str) else value


def _or_nothing(value: Any) -> Any:
    """Take a label alone for a secret that a person has to bring."""
    return {} if value is None else value


SettingName = Annotated[str, AfterValidator(_name)]
Value = Annotated[str, AS_WRITTEN]
Help = Annotated[str, BeforeValidator(_one_line), WithJsonSchema({"type": "string"})]


class SettingSpec(Part):
    """A setting: what one host may have otherwise than another."""

    type: Literal[
        "integer", "number", "text", "boolean", "choice", "port", "path", "gpus"
    ]
    """What kind of value it takes."""
    default: Value | None = None
    """The value of hosts that say nothing; without it, each host must give one."""
    min: Value | None = None
    """The least number it takes."""
    max: Value | None = None
    """The greatest number it takes."""
    choices: Annotated[tuple[Value, ...], Field(strict=False)] = ()
    """The values that a choice takes."""
    pattern: Text | None = None
    """A regular expression that a text must match as a whole."""
    help: Help = ""
    """What it is for: the operator reads it."""

    @classmethod
    def key_faults(cls, value: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the keys that are given, whatever they hold."""
        try:
            # Its values are judged by the very rules that hold for a manifest.
            Setting(name="NAME", **value)
        except ValueError as error:
            yield str(error)

    def setting(self, name: str) -> Setting:
        """Return it as a manifest has it."""
        made = Setting(name=name, **self.model_dump())
        if made.default is None:
            return made
        return replace(made, default=made.read(made.default))


class SecretSpec(Part):
    """A secret: a file that containers find below /run/secrets."""

    generate: Annotated[Integer, Field(ge=8, le=1024)] | None = None
    """How many characters to make it of on the host; without it a person is asked."""
    help: Help = ""
    """What it is for: the operator reads it."""

    def secret(self, label: str) -> Secret:
        """Return it as a manifest has it."""
        return Secret(label, self.generate, self.help)


SecretEntry = Annotated[SecretSpec, BeforeValidator(_or_nothing)]


@dataclass(frozen=True)
class SiteSpec:
    """What a stack leaves open for each host: its settings and its secrets."""

    settings: tuple[Setting, ...] = ()
    secrets: tuple[Secret, ...] = ()


NOTHING_OPEN = SiteSpec()
