"""Smoke tests in the bundle spec: from what people write to what a manifest carries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from sealift_manifests.smoke import (
    JSON_RULES,
    JSON_TYPES,
    Expectation,
    Header,
    JsonRule,
    SmokeTest,
)

from sealift_bundler.spec_values import AS_WRITTEN, Integer, Part, Text
from sealift_bundler.strictyaml import Plain

_JSON = "application/json"
_WITHIN = 60
_TEXT_RULES = ("contains", "matches")
_ANYTHING = WithJsonSchema({})


def _as_boolean(value: Any) -> Any:
    text = str(value).lower()
    return text == "true" if text in ("true", "false") else value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Boolean = Annotated[
    bool, BeforeValidator(_as_boolean), WithJsonSchema({"type": "boolean"})
]
OneOrMore = Annotated[
    tuple[Annotated[Text, AS_WRITTEN], ...],
    BeforeValidator(_one_or_more),
    Field(strict=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
            ]
        }
    ),
]


class ExpectSpec(Part):
    """What the answer to a smoke test must be."""

    status: Integer = 200
    """The status of HTTP."""
    contains: OneOrMore = ()
    """Words that stand in the answer; of a stream, in what its events say together."""
    ignore_case: Boolean = False
    """Whether words may be written in capitals or not."""
    stream: Boolean = False
    """The answer comes in pieces: server-sent events, or JSON line by line."""
    answer: Annotated[dict[Text, Any], Field(alias="json")] = {}
    """Paths into a JSON answer (choices.0.message.content), and what stands there: a
    value, the name of a type, {contains: TEXT} or {matches: REGULAR EXPRESSION}."""


class SmokeSpec(Part):
    """A question to a running service, and the answer that must come."""

    name: Text
    """A name of your choice."""
    service: Text
    """The service of the Compose file that is asked."""
    port: Integer
    """The port of its container."""
    path: Text
    """The path of the request, such as /v1/chat/completions."""
    method: Text | None = None
    """GET, or POST; without it, POST if something is sent."""
    headers: dict[Text, Annotated[str, AS_WRITTEN]] = {}
    """Headers of the request. They stay readable in the bundle; for a secret of the
    host write ${secret:LABEL}."""
    value: Annotated[Any, Field(alias="json"), _ANYTHING] = None
    """What is sent, as JSON."""
    body: Annotated[Text, AS_WRITTEN] | None = None
    """What is sent, as text."""
    expect: ExpectSpec = ExpectSpec()
    """What must come back; without it, the status 200."""
    within: Integer = _WITHIN
    """Seconds in which all of the answer must have come."""

    @classmethod
    def key_faults(cls, value: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the keys that are given, whatever they hold."""
        if "value" in value and "body" in value:
            yield "give json or body, not both"

    @model_validator(mode="after")
    def _is_sound(self) -> SmokeSpec:
        self.test()
        return self

    def test(self) -> SmokeTest:
        """Return it as a manifest has it; raise ValueError for what cannot be."""
        body = self.body or ""
        headers = dict(self.headers)
        if self.value is not None:
            body = _dump(_plain(self.value))
            if "content-type" not in {name.lower() for name in headers}:
                headers["Content-Type"] = _JSON
        expected = self.expect
        return SmokeTest(
            name=self.name,
            service=self.service,
            port=self.port,
            path=self.path,
            method=self.method or ("POST" if body else "GET"),
            headers=tuple(Header(*each) for each in sorted(headers.items())),
            body=body,
            expect=Expectation(
                status=expected.status,
                contains=expected.contains,
                ignore_case=expected.ignore_case,
                stream=expected.stream,
                json=tuple(
                    _rule(path, wanted) for path, wanted in expected.answer.items()
                ),
            ),
            within=self.within,
        )


def _rule(path: str, wanted: Any) -> JsonRule:
    """Return what is asked for at a path of a JSON answer."""
    if isinstance(wanted, Mapping):
        if len(wanted) != 1 or set(wanted) - set(JSON_RULES):
            raise ValueError(f"{path}: give one of {', '.join(JSON_RULES)}")
        ((rule, held),) = wanted.items()
        if rule in _TEXT_RULES and not isinstance(held, str):
            raise ValueError(f"{path}: {rule} needs a text")
        text = _dump(_plain(held)) if rule == "is" else str(held)
        return JsonRule(path, str(rule), text)
    if isinstance(wanted, str) and str(wanted) in JSON_TYPES:
        return JsonRule(path, "type", str(wanted))
    return JsonRule(path, "is", _dump(_plain(wanted)))


def _plain(value: Any) -> Any:
    """Return what YAML means by a value that was read as it is written."""
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_plain(held) for held in value]
    if isinstance(value, Plain) and value.kind != "str":
        return yaml.safe_load(value)
    return None if value is None else str(value)


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise ValueError(f"JSON knows no such number: {error}") from error
