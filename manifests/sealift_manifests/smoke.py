"""Smoke tests: a request to a service of the stack, and what its answer must be.

Values that check themselves. Sending the request and judging the answer is the
installer's.
"""

from __future__ import annotations

import json as json_format
import re
from dataclasses import dataclass
from typing import Mapping, Tuple

from sealift_manifests.paths import is_label
from sealift_manifests.patterns import pattern_fault
from sealift_manifests.records import require

FEATURE = "smoke"
"""The feature that a manifest with smoke tests names."""
SECRETS_FEATURE = "smoke-secrets"
"""The feature of a manifest whose smoke tests send secrets of the host."""

METHODS = ("GET", "POST")
JSON_TYPES = ("text", "number", "integer", "boolean", "list", "object", "null")
JSON_RULES = ("type", "is", "contains", "matches")
LONGEST = 3600
"""The most seconds that an answer may be given."""

_PATH = re.compile(r"/[!-~]{0,2000}\Z")
_JSON_PATH = re.compile(r"[^.\s]{1,200}(\.[^.\s]{1,200}){0,30}\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")
_HEADER_VALUE = re.compile(r"[ -~]{0,1000}\Z")
_SECRET = re.compile(r"\$\{secret:([^{}]*)\}")
_ANY_CASE = "(?i)"
_OWN_HEADERS = ("connection", "content-length", "host", "transfer-encoding")


@dataclass(frozen=True)
class Header:
    """A header of a request.

    Where the manifest names SECRETS_FEATURE, `${secret:LABEL}` in a value stands for
    what the host has as that secret of the stack.
    """

    name: str
    value: str

    def __post_init__(self) -> None:
        require(_HEADER_NAME.match(self.name), f"bad header name {self.name!r}")
        require(
            self.name.lower() not in _OWN_HEADERS,
            f"the header {self.name} is set by whoever sends the request",
        )
        require(_HEADER_VALUE.match(self.value), f"bad value of header {self.name}")

    @property
    def secrets(self) -> Tuple[str, ...]:
        """The labels of the secrets that its value asks for."""
        return tuple(_SECRET.findall(self.value))

    def filled(self, secrets: Mapping[str, str]) -> str:
        """Return its value with these secrets in their places; other text stays."""
        return _SECRET.sub(lambda found: secrets.get(found[1], found[0]), self.value)


@dataclass(frozen=True)
class JsonRule:
    """What stands at one place of a JSON answer.

    `path` are keys, and numbers of items, divided by dots. `value` is the name of a
    type with the rule `type`, JSON with `is`, text with `contains`, and a regular
    expression with `matches`, which may begin with `(?i)`.
    """

    path: str
    rule: str
    value: str

    def __post_init__(self) -> None:
        require(_JSON_PATH.match(self.path), f"bad path {self.path!r} into an answer")
        require(self.rule in JSON_RULES, f"{self.path}: unknown rule {self.rule!r}")
        if self.rule == "type":
            require(
                self.value in JSON_TYPES,
                f"{self.path}: {self.value!r} is no type; there are "
                + ", ".join(JSON_TYPES),
            )
        elif self.rule == "is":
            try:
                json_format.loads(self.value)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{self.path}: the value is not JSON") from error
        elif self.rule == "matches":
            starts = self.value.startswith(_ANY_CASE)
            fault = pattern_fault(self.value[len(_ANY_CASE) if starts else 0 :])
            require(not fault, f"{self.path}: the pattern {self.value!r} {fault}")


@dataclass(frozen=True)
class Expectation:
    """What an answer must be.

    `contains` are texts that stand in it. `stream`: it comes as events, and the texts
    stand in what they say together.
    """

    status: int = 200
    contains: Tuple[str, ...] = ()
    ignore_case: bool = False
    stream: bool = False
    json: Tuple[JsonRule, ...] = ()

    def __post_init__(self) -> None:
        require(100 <= self.status <= 599, f"{self.status} is no status of HTTP")
        require(all(self.contains), "an empty text stands in every answer")
        require(
            not (self.stream and self.json),
            "json is about one answer, and a stream is many; use contains",
        )


@dataclass(frozen=True)
class SmokeTest:
    """A request to a service, and what must come back within some seconds.

    `port` is the container's. `body` is sent as it is, in UTF-8.
    """

    name: str
    service: str
    port: int
    path: str
    method: str = "GET"
    headers: Tuple[Header, ...] = ()
    body: str = ""
    expect: Expectation = Expectation()
    within: int = 60

    def __post_init__(self) -> None:
        require(is_label(self.name), f"bad name {self.name!r} of a smoke test")
        require(0 < self.port < 1 << 16, f"{self.name}: {self.port} is no port")
        require(
            _PATH.match(self.path),
            f"{self.name}: the path {self.path!r} must begin with / and have no spaces",
        )
        require(
            self.method in METHODS,
            f"{self.name}: the method is GET or POST, not {self.method!r}",
        )
        require(
            self.method == "POST" or not self.body,
            f"{self.name}: only a POST has a body",
        )
        names = [header.name.lower() for header in self.headers]
        require(len(names) == len(set(names)), f"{self.name}: a header appears twice")
        require(
            0 < self.within <= LONGEST,
            f"{self.name}: `within` is 1 to {LONGEST} seconds",
        )

    @property
    def secrets(self) -> Tuple[str, ...]:
        """The labels of the secrets that its headers ask for."""
        return tuple(label for header in self.headers for label in header.secrets)

    @property
    def request(self) -> str:
        """The request in one line, for people: `POST llm:8000/v1/completions`."""
        return f"{self.method} {self.service}:{self.port}{self.path}"
