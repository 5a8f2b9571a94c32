"""A site file: `NAME: value` lines, read and changed line by line.

A small part of YAML, so that people and their tools can write it, and one that means
the same to every reader: no nesting, no lists, one line for each setting. What is not
of that part is a fault, never a guess. Comments and order are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

_NAME = r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
_AFTER = r"(?P<after>(?: +#.*)? *)\Z"
_LINE = re.compile(rf"{_NAME}:(?P<space> +)(?P<rest>[^ #].*)\Z")
_EMPTY = re.compile(rf"{_NAME}:(?: *| +#.*)\Z")
_COMMENT = re.compile(r" *(?:#.*)?\Z")
_BEGIN = re.compile(r"---(?: +#.*)? *\Z")
_SINGLE = re.compile(rf"'(?P<held>(?:[^']|'')*)'{_AFTER}")
_DOUBLE = re.compile(rf'"(?P<held>(?:[^"\\]|\\["\\/])*)"{_AFTER}')
_PLAIN = re.compile(
    r"(?P<held>(?:[^\-?:,\[\]{}#&*!|>'\"%@` ]|-(?! |\Z))(?:(?!: | +#|:\Z| +\Z).)*)"
    rf"{_AFTER}"
)
_NULL = ("~", "null", "Null", "NULL")
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)
_SIMPLE = re.compile(r"[A-Za-z0-9_/+](?:[A-Za-z0-9_/+.,:@%=-]*[A-Za-z0-9_/+.,@%=-])?\Z")


@dataclass(frozen=True)
class Entry:
    """A setting in a site file: which line (from 0), its value, the comment after."""

    line: int
    value: str
    after: str


@dataclass(frozen=True)
class SiteFile:
    """The lines of a site file, with their ends, and the settings in them by name."""

    lines: Tuple[str, ...]
    entries: Mapping[str, Entry]

    @property
    def text(self) -> str:
        """The whole file."""
        return "".join(self.lines)

    @property
    def values(self) -> Dict[str, str]:
        """The value of each setting that the file gives."""
        return {name: entry.value for name, entry in self.entries.items()}

    def with_value(self, name: str, value: str) -> SiteFile:
        """Return the file with another value for a setting, in its place."""
        entry = self.entries.get(name)
        written = f"{name}: {written_value(value)}"
        lines = list(self.lines)
        if entry:
            old = lines[entry.line]
            end = old[len(old.rstrip("\r\n")) :]
            lines[entry.line] = written + entry.after + end
        else:
            if lines and not lines[-1].endswith("\n"):
                lines[-1] += "\n"
            lines.append(f"{written}\n")
        return read_site_file("".join(lines))[0]

    def without(self, name: str) -> SiteFile:
        """Return the file without the line of a setting."""
        entry = self.entries.get(name)
        if entry is None:
            return self
        left = (*self.lines[: entry.line], *self.lines[entry.line + 1 :])
        return read_site_file("".join(left))[0]


def read_site_file(text: str) -> Tuple[SiteFile, Tuple[str, ...]]:
    """Return a site file, and its faults: `line 3: what is wrong`."""
    lines = tuple(re.findall(r"[^\n]*\n|[^\n]+\Z", text))
    entries: Dict[str, Entry] = {}
    faults: List[str] = []
    for number, line in enumerate(lines):
        shown = line.rstrip("\n")
        shown = shown[:-1] if shown.endswith("\r") else shown
        shown = shown[1:] if number == 0 and shown.startswith("\ufeff") else shown
        if _is_comment(shown) or (_BEGIN.match(shown) and not entries):
            continue
        name, found, fault = _read_line(shown)
        if found is None:
            faults.append(f"line {number + 1}: {fault}")
        elif name in entries:
            first = entries[name].line + 1
            faults.append(f"line {number + 1}: {name} is given on line {first} already")
        else:
            entries[name] = Entry(number, *found)
    return SiteFile(lines, entries), tuple(faults)


def written_value(value: str) -> str:
    """Return a value as a site file has it: plain where every reader agrees on it."""
    if _SIMPLE.match(value) and value not in _NULL:
        return value
    return "'" + value.replace("'", "''") + "'"


def _is_comment(line: str) -> bool:
    # A tab may stand in one; ends of lines that only some readers know may not.
    return bool(_COMMENT.match(line)) and not _CONTROL.search(line.replace("\t", ""))


def _read_line(line: str) -> Tuple[str, Optional[Tuple[str, str]], str]:
    """Return the name, then value and comment, or None and what is wrong."""
    if _CONTROL.search(line):
        return "", None, "has a tab or a control character"
    empty = _EMPTY.match(line)
    if empty:
        name = empty["name"]
        return "", None, f"{name} has no value; take the line out, or write ''"
    match = _LINE.match(line)
    if not match:
        nested = "begins with a space; " if line.startswith(" ") else ""
        return "", None, f"{nested}write NAME: value"
    return (match["name"], *_read_value(match["rest"]))


def _read_value(rest: str) -> Tuple[Optional[Tuple[str, str]], str]:
    single, double, plain = (p.match(rest) for p in (_SINGLE, _DOUBLE, _PLAIN))
    if single:
        return (single["held"].replace("''", "'"), single["after"]), ""
    if double:
        return (re.sub(r"\\(.)", r"\1", double["held"]), double["after"]), ""
    if not plain:
        return None, "the value cannot stand so; put it into single quotes"
    if plain["held"] in _NULL:
        return None, f"{plain['held']} means nothing in YAML; put it into quotes"
    return (plain["held"], plain["after"]), ""
