"""YAML that is taken as written, with the line of every key.

Numbers, booleans and dates keep their text (`version: 2026.10` is not 2026.1), and
duplicate keys are refused. Knows nothing of the spec or of Compose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from sealift_manifests.errors import SpecError

MAX_TEXT = 1 << 20
"""The largest accepted document, in characters."""

_MAX_NODES = 100_000  # aliases can make a small text huge
_TAG = "tag:yaml.org,2002:"
_AS_WRITTEN = frozenset({"str", "int", "float", "bool"})
_KNOWN = _AS_WRITTEN | {"null", "timestamp", "value"}

Place = tuple[str | int, ...]
"""Where something stands in a document: keys and list positions from the top."""


class Plain(str):
    """A scalar that was written without quotes; it is written so again."""

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, text: str, kind: str = "str") -> Plain:
        made = super().__new__(cls, text)
        made.kind = kind
        return made


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and where."""

    place: Place
    message: str


@dataclass(frozen=True)
class Document:
    """A parsed document: dicts, lists, strings and None, and the line of each.

    One that several files make up has in `files` which line is of which file.
    """

    where: str
    value: Any
    lines: Mapping[Place, int] = field(default_factory=dict)
    files: Mapping[Place, str] = field(default_factory=dict)

    def describe(self, fault: Fault) -> str:
        """Return `models.chat.revision (line 7): what is wrong`."""
        known = next(
            (
                fault.place[:end]
                for end in range(len(fault.place), -1, -1)
                if fault.place[:end] in self.lines
            ),
            None,
        )
        if known is None:
            return fault.message
        name = dotted(fault.place) or self.where
        file = f"{self.files[known]} " if known in self.files else ""
        return f"{name} ({file}line {self.lines[known]}): {fault.message}"

    def describe_all(self, faults: Iterable[Fault]) -> str:
        """Return all faults, one a line, in the order of the document."""

        files = list(dict.fromkeys(self.files.values()))

        def order(fault: Fault) -> tuple[int, int, str]:
            file = self.files.get(fault.place)
            line = self.lines.get(fault.place, 1 << 30)
            return files.index(file) if file else 0, line, dotted(fault.place)

        unique = dict.fromkeys(sorted(faults, key=order))
        lines = [self.describe(fault) for fault in unique]
        return f"{self.where} cannot be used:\n  " + "\n  ".join(lines)


def dotted(place: Place) -> str:
    """Return a place as people write it: `services.web.volumes[0]`."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)
    return text.removeprefix(".")


def texts_of(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield every text in a value, with where it stands."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, held in value.items():
            yield from texts_of(held, (*place, key))
    elif isinstance(value, list):
        for number, held in enumerate(value):
            yield from texts_of(held, (*place, number))


def read_text(path: Path) -> str:
    """Read a document from disk."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"{path} cannot be read: {error.strerror}",
            hint="Give the path of a readable file; `sealift init` makes a first one.",
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path} is not UTF-8 text (byte {error.start})",
            hint="Save it as UTF-8.",
        ) from error


def parse(text: str, where: str) -> Document:
    """Parse one document; `where` names it in errors."""
    if len(text) > MAX_TEXT:
        raise SpecError(
            f"{where} is larger than {MAX_TEXT} characters", hint="Make it smaller."
        )
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError(
            f"{where} is not YAML: {error}",
            hint="Correct the place it names; indent with spaces only.",
        ) from error
    builder = _Builder()
    value = None if node is None else builder.build(node, ())
    document = Document(where, value, builder.lines)
    if builder.faults:
        raise SpecError(
            document.describe_all(builder.faults),
            hint="Each key may be given once, with plain values only.",
        )
    return document


def dump(value: Any) -> str:
    """Return the text of a value: block style, keys in their order, no anchors."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=1 << 20,
    )


class _Builder:
    """Turns nodes into values; collects lines and faults as it goes."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self.faults: list[Fault] = []
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node, place: Place) -> Any:
        self._count += 1
        self.lines.setdefault(place, node.start_mark.line + 1)
        if self._count > _MAX_NODES or id(node) in self._open:
            if self._count <= _MAX_NODES + 1:
                self._fault(place, "an alias repeats itself or too much")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(n, (*place, i)) for i, n in enumerate(node.value)]
            return self._mapping(node, place)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: Any, place: Place) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                for key, value in self._merged(value_node, place):
                    merged.setdefault(key, value)
                continue
            key = self._key(key_node, place)
            line = key_node.start_mark.line + 1
            if key in own:
                self._fault((*place, key), f"is given again on line {line}")
                continue
            self.lines[(*place, key)] = line
            own[key] = self.build(value_node, (*place, key))
        return {**merged, **own}

    def _merged(self, node: Any, place: Place) -> Iterable[tuple[str, Any]]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if isinstance(part, yaml.MappingNode):
                yield from self.build(part, place).items()
            else:
                self._fault(place, "`<<` must name a mapping")

    def _key(self, node: Any, place: Place) -> str:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place) or Plain("null")
        self._fault(place, "a key must be a plain text")
        return Plain("?")

    def _scalar(self, node: Any, place: Place) -> str | None:
        kind = node.tag.removeprefix(_TAG)
        if kind not in _KNOWN:
            self._fault(place, f"the tag {node.tag} is not supported")
        if kind == "null":
            return None
        text: str = node.value
        # Unquoted dates, and 22:22 as a base-60 number, are always meant as text.
        if node.style or kind not in _AS_WRITTEN or (kind != "str" and ":" in text):
            return text
        return Plain(text, kind)

    def _fault(self, place: Place, message: str) -> None:
        self.faults.append(Fault(place, message))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # Quoted whatever it looks like: readers differ on what 1e3 or 0o17 is.
    return dumper.represent_scalar(f"{_TAG}str", text, "|" if "\n" in text else '"')


def _represent_plain(dumper: yaml.SafeDumper, text: Plain) -> yaml.Node:
    return dumper.represent_scalar(_TAG + text.kind, str(text))


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(Plain, _represent_plain)
