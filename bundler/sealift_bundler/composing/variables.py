"""The variables of a Compose file, filled in as Compose does it.

On the offline host nobody gives them, so each gets its value here: from `.env`, or the
default that the file gives. What has neither stays as it is written, and is told by
compose_check or `required`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sealift_manifests.errors import SpecError

from sealift_bundler.strictyaml import Place, Plain

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOW = re.compile(r":?[-?+]")
_ENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*?)\s*\Z")
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_MEANT = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}
_VARIABLE = re.compile(r"\$(?:\{[^}]*\}?|\w+)")
_INTEGER = re.compile(r"-?[0-9]+\Z")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?\Z")
_OF_A_TYPE = """
    attachable count cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period
    cpu_rt_runtime cpu_shares cpus disable enable_ipv6 external hard init internal
    max_attempts max_replicas_per_node mode nocopy oom_kill_disable oom_score_adj
    parallelism pids_limit privileged read_only replicas retries scale soft stdin_open
    target tty
"""
_TYPED = frozenset(_OF_A_TYPE.split())
"""Keys whose text Compose takes for a number or a boolean once it has filled it in."""

_FREE = frozenset(
    ("args", "annotations", "driver_opts", "environment", "labels", "options")
)
"""Keys below which every key is the user's own, and every value a text."""


def read_env(text: str, left_open: Collection[str] = ()) -> dict[str, str]:
    """Return the variables of a `.env` file; a value may use those above it.

    Raises SpecError for one that uses another, also one of those `left_open`.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _ENV_LINE.match(line):
            template = _template(match[2])
            value = Filling(found, left_open).fill(template)
            if missed := _VARIABLE.search(value.replace("$$", "")):
                raise SpecError(
                    f".env:{number}: {match[1]} uses {missed[0]}, which has no value "
                    "there",
                    hint="Give it one in a line above, or write the value itself; a "
                    "`$` that is meant stands in single quotes. The variables of who "
                    "builds and those that a host is asked for are none of .env.",
                )
            found[match[1]] = value.replace("$$", "$")
    return found


def _template(text: str) -> str:
    """Return a value without its quotes; a `$` that is meant is doubled."""
    if single := _SINGLE.match(text):
        return _escaped(single[1].replace("\\'", "'"))
    if double := _DOUBLE.match(text):
        return re.sub(r"\\(.)", lambda match: _MEANT.get(match[1], match[0]), double[1])
    return re.sub(r"(?:^|\s+)#.*\Z", "", text)


class Filling:
    """Fills in variables; `used` has the names of those that were given a value.

    `left_open` are names that keep their variable: the host gives them.
    """

    def __init__(
        self, given: Mapping[str, str], left_open: Collection[str] = ()
    ) -> None:
        self.used: set[str] = set()
        self._given = given
        self._left_open = left_open

    def fill(self, value: Any, place: Place = ()) -> Any:
        """Return a value with all its texts filled in."""
        if isinstance(value, Mapping):
            filled = {k: self.fill(held, (*place, k)) for k, held in value.items()}
            if place[-1:] == ("environment",):
                return {k: self._own(k, held) for k, held in filled.items()}
            return filled
        if isinstance(value, list):
            listed = [self.fill(held, (*place, n)) for n, held in enumerate(value)]
            if place[-1:] == ("environment",):
                return [self._assigned(held) for held in listed]
            return listed
        if not isinstance(value, str) or "$" not in value:
            return value
        text = self._text(value)
        return text if text == value else _typed(text, place)

    def _own(self, name: str, held: Any) -> Any:
        """Give a variable of a container that has no value the one of its name."""
        if held is not None or name not in self._given:
            return held
        self.used.add(name)
        return _escaped(self._given[name])

    def _assigned(self, item: Any) -> Any:
        held = self._own(item, None) if isinstance(item, str) else None
        return item if held is None else f"{item}={held}"

    def _text(self, text: str) -> str:
        return "".join(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[str]:
        at = 0
        while (dollar := text.find("$", at)) >= 0:
            yield text[at:dollar]
            at = dollar + 1
            if text.startswith("$", at):
                yield "$$"
                at += 1
            elif text.startswith("{", at):
                end = _closing(text, at)
                yield self._variable(text[dollar:end], text[at + 1 : end - 1])
                at = end
            elif name := _NAME.match(text, at):
                yield self._variable(text[dollar : name.end()], name[0])
                at = name.end()
            else:
                # docker-compose 1.29 stops at a `$` that begins nothing.
                yield "$$"
        yield text[at:]

    def _variable(self, written: str, body: str) -> str:
        name = _NAME.match(body)
        if not name or name[0] in self._left_open:
            return written
        how = _HOW.match(body, name.end())
        rest = body[how.end() :] if how else ""
        value = self._given.get(name[0])
        is_set = value is not None and (value != "" or not (how and how[0][0] == ":"))
        kind = how[0][-1] if how else ""
        if kind == "+":
            return self._text(rest) if is_set else ""
        if is_set and value is not None:
            self.used.add(name[0])
            return _escaped(value)
        if kind == "-":
            return self._text(rest)
        return written


def _closing(text: str, opening: int) -> int:
    """Return where a brace that opens at `opening` is closed, past the brace."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return at + 1
    return len(text)


def _escaped(value: str) -> str:
    return value.replace("$", "$$")


def _typed(text: str, place: Place) -> str:
    """Return a text that was filled in as what Compose would take it for."""
    key = place[-1] if place else ""
    if key not in _TYPED or _FREE & set(place[:-1]):
        return text
    if text.lower() in ("true", "false"):
        return Plain(text.lower(), "bool")
    if _INTEGER.match(text):
        return Plain(text, "int")
    return Plain(text, "float") if _NUMBER.match(text) else text
