"""Read the YAML that nvidia-ctk writes: block maps, block lists, plain scalars.

Nothing else: flow collections, anchors, tags and folded texts raise ValueError, so
that what is not understood is said to be so. Every scalar becomes text.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

_KEY = re.compile(r"([A-Za-z0-9_.-]+):(?:\s+(.*))?\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_/.][^\0]*\Z")
_EMPTY: Dict[str, Callable[[], Any]] = {"[]": list, "{}": dict}
_MAX_DEPTH = 32


class _Line(NamedTuple):
    indent: int
    text: str


def read_blocks(text: str) -> Any:
    """Return the one document of `text`; raise ValueError for what is not simple."""
    lines = []
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or stripped == "---":
            continue
        if "\t" in line[: len(line) - len(line.lstrip())]:
            raise ValueError("a tab indents a line")
        lines.append(_Line(len(line) - len(line.lstrip()), stripped))
    if not lines:
        return None
    value, rest = _block(lines, lines[0].indent, 0)
    if rest:
        raise ValueError(f"an unexpected line: {rest[0].text}")
    return value


def _block(lines: List[_Line], indent: int, depth: int) -> Tuple[Any, List[_Line]]:
    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    if _is_item(lines[0].text):
        return _list(lines, indent, depth)
    return _map(lines, indent, depth)


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _list(lines: List[_Line], indent: int, depth: int) -> Tuple[Any, List[_Line]]:
    found = []
    while lines and lines[0].indent == indent and _is_item(lines[0].text):
        inner = lines[0].text[1:].lstrip()
        if not inner:
            raise ValueError("an empty item")
        if _KEY.match(inner):
            # A map that starts beside its dash is indented to where it starts.
            inside = indent + len(lines[0].text) - len(inner)
            lines = [_Line(inside, inner), *lines[1:]]
            value, lines = _map(lines, inside, depth + 1)
        else:
            value, lines = _scalar(inner), lines[1:]
        found.append(value)
    return found, lines


def _map(lines: List[_Line], indent: int, depth: int) -> Tuple[Any, List[_Line]]:
    found = {}
    while lines and lines[0].indent == indent and not _is_item(lines[0].text):
        match = _KEY.match(lines[0].text)
        if not match or match.group(1) in found:
            raise ValueError(f"not a new key: {lines[0].text}")
        key, written = match.groups()
        lines = lines[1:]
        if written:
            found[key] = _scalar(written)
        elif lines and _belongs(lines[0], indent):
            found[key], lines = _block(lines, lines[0].indent, depth + 1)
        else:
            found[key] = None
    return found, lines


def _belongs(line: _Line, indent: int) -> bool:
    # The items of a list may stand as far left as its key.
    return line.indent > indent or (line.indent == indent and _is_item(line.text))


def _scalar(text: str) -> Any:
    if text in _EMPTY:
        return _EMPTY[text]()
    for quote in "\"'":
        if text[0] == quote:
            inner = text[1:-1]
            if len(text) < 2 or text[-1] != quote or quote in inner or "\\" in inner:
                raise ValueError(f"not a simple text: {text}")
            return inner
    if not _PLAIN.match(text) and not re.match(r"-\S", text):
        raise ValueError(f"not a simple text: {text}")
    if " #" in text or ": " in text:
        raise ValueError(f"not a simple text: {text}")
    return text
