"""Settings of a site, and secrets: what a bundle lets each host decide for itself.

Values are text, as Compose puts them in place of `${NAME}`. What may be one is decided
here for both sides: for defaults where a bundle is made, for values on the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Callable, Dict, Iterable, Iterator, Optional, Tuple

from sealift_manifests.paths import is_label
from sealift_manifests.patterns import pattern_fault
from sealift_manifests.records import require

FEATURE = "settings"
"""The feature of a manifest whose stack has settings or secrets."""

TYPES = (
    *("integer", "number", "text", "boolean"),
    *("choice", "port", "path", "gpus"),
)
MAX_TEXT = 4096
MAX_PATTERN = 256
MAX_GENERATED = 1024
SECRETS_VARIABLE = "SEALIFT_SECRETS"
"""What Compose is told the directory of a bundle's secrets by."""

STAMP_VARIABLE = "SEALIFT_SECRETS_STAMP"
"""Changes when a secret does, so that Compose makes the containers anew."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")
_RESERVED = re.compile(
    r"(?:(?:COMPOSE|DOCKER|BUILDKIT|SEALIFT|OTEL|LD|LC|GLIBC|MALLOC|XDG)_.*"
    r"|(?:SSL|SSH|CURL|REQUESTS)_.*|(?:PYTHON|GODEBUG|_MEIPASS|_PYI).*|.*_PROXY"
    r"|GO(?:TRACEBACK|MAXPROCS|GC|MEMLIMIT)|PATH|HOME|TMPDIR|LANG|NLSPATH"
    r"|GCONV_PATH|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS)\Z",
    re.IGNORECASE,
)
"""Variables that mean something to Compose itself, to Go or Python, which it is made
of, or to the system below it."""

_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,17})\Z")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?\Z")
_GPU = re.compile(r"[0-9]{1,3}\Z|(?:GPU|MIG)-[A-Za-z0-9-]{1,80}\Z")
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_UNWRITABLE = re.compile(r"[${}]")
"""What Compose cannot be given as a default: it ends one, or begins another."""

_UNITS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
"""Of a regular expression: an escape, or a set of characters."""

_GROUP = re.compile(r"\((?:\?:)?([^()]*)\)([*+?]|\{[0-9]*,?[0-9]*\})?")
"""An innermost group, and how often it is there."""

_VARIES = re.compile(r"[*+?\x00]|\{[0-9]*,[0-9]*\}")
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on"), "true"),
    **dict.fromkeys(("false", "no", "off"), "false"),
}
_NUMERIC = {"integer", "number", "port"}


@dataclass(frozen=True)
class Setting:
    """What one host may have otherwise than another: a variable of the Compose file.

    Without a `default` each host must give a value. `min` and `max` bound numbers;
    `choices` are those of a choice; `pattern` is what a text must match as a whole.
    """

    name: str
    type: str
    default: Optional[str] = None
    min: Optional[str] = None
    max: Optional[str] = None
    choices: Tuple[str, ...] = ()
    pattern: Optional[str] = None
    help: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        faults = [f"{field} {text}" for field, text in _definition_faults(self)]
        require(not faults, "; ".join(faults))

    @property
    def range(self) -> str:
        """What values it takes, in words."""
        low, high = self.min, self.max
        if self.type == "port":
            low, high = low or "1", high or "65535"
        if self.type == "choice":
            return f"one of {', '.join(self.choices)}"
        if self.type == "text" and self.pattern:
            return f"text like {self.pattern}"
        bounds = f" from {low}" if low is not None else ""
        bounds += f" up to {high}" if high is not None else ""
        return _KINDS[self.type] + bounds

    def read(self, text: str) -> str:
        """Return a value as Compose is given it, or raise ValueError with the reason.

        Only of a boolean that is another text than was written.
        """
        found = _READERS[self.type](self, text)
        if found is None:
            raise ValueError(f"must be {self.range}, and is {text!r:.80}")
        return found


@dataclass(frozen=True)
class Secret:
    """What a host has and a bundle never: a file that containers find by its label.

    `generate`: characters to make it of, where the host has none; without it a person
    has to bring it.
    """

    label: str
    generate: Optional[int] = None
    help: str = ""

    def __post_init__(self) -> None:
        require(is_label(self.label), f"bad name of a secret {self.label!r}")
        enough = self.generate is None or 8 <= self.generate <= MAX_GENERATED
        require(enough, f"secret {self.label}: generate 8 to {MAX_GENERATED}")
        require(_is_plain(self.help, 512), f"secret {self.label}: help is not plain")


def check_name(name: str) -> None:
    """Raise ValueError for what cannot name a setting."""
    require(
        _NAME.match(name),
        f"{name!r} is not the name of a setting; allowed: letters, digits and _, at "
        "most 63, no digit first",
    )
    require(
        not _RESERVED.match(name), f"{name} means something to Compose; name it anew"
    )


def check_names(settings: Iterable[Setting], secrets: Iterable[Secret]) -> None:
    """Raise ValueError for names that are there twice; people ignore their case."""
    for kind, names in (
        ("setting", [each.name.upper() for each in settings]),
        ("secret", [each.label for each in secrets]),
    ):
        require(len(names) == len(set(names)), f"a {kind} appears twice")


def _definition_faults(setting: Setting) -> Iterator[Tuple[str, str]]:
    """Yield what is wrong with a definition, each with the field it is about."""
    kind = setting.type
    if kind not in TYPES:
        yield "type", f"{kind!r} is unknown; allowed: {', '.join(TYPES)}"
        return
    faults = [*_field_faults(setting)]
    yield from faults
    if setting.default is None or faults:
        return
    if _UNWRITABLE.search(setting.default):
        yield "default", "has $, { or }, which Compose would read as its own"
    try:
        setting.read(setting.default)
    except ValueError as error:
        yield "default", str(error)


def _field_faults(setting: Setting) -> Iterator[Tuple[str, str]]:
    kind, choices, pattern = setting.type, setting.choices, setting.pattern
    for name, bound in (("min", setting.min), ("max", setting.max)):
        if bound is not None and kind not in _NUMERIC:
            yield name, "goes with integer, number and port only"
        elif bound is not None and not _BOUNDS[kind].match(bound):
            yield name, f"{bound!r} is not {_KINDS[kind]}"
        elif name == "max" and bound is not None and _is_above(setting.min, bound):
            yield name, "is less than min"
    if (kind == "choice") != bool(choices):
        yield "choices", "goes with choice, and choice needs it"
    if len(set(choices)) != len(choices):
        yield "choices", "has one twice"
    if not all(_is_plain(each, MAX_TEXT) and each for each in choices):
        yield "choices", "each must be one line of text"
    if pattern is not None and kind != "text":
        yield "pattern", "goes with text only"
    elif pattern is not None and (fault := _pattern_fault(pattern)):
        yield "pattern", fault
    if not _is_plain(setting.help, 512):
        yield "help", "must be one line, at most 512 characters"


def _is_above(low: Optional[str], high: str) -> bool:
    is_number = low is not None and _NUMBER.match(low)
    return bool(is_number) and Decimal(low or "") > Decimal(high)


def _pattern_fault(pattern: str) -> str:
    if not _is_plain(pattern, MAX_PATTERN):
        return f"must be one line, at most {MAX_PATTERN} characters"
    fault = pattern_fault(pattern)
    if not fault and _is_runaway(pattern):
        return "repeats a group that itself repeats something: matching may never end"
    return fault


def _is_runaway(pattern: str) -> bool:
    """Say whether a group is repeated that holds a number of things that varies.

    Such a text can be cut into repetitions in more ways than can be tried. A group of
    a small fixed number is as if it were written out, so that may hold it, once.
    """
    rest = _UNITS.sub("x", pattern)
    found = _GROUP.search(rest)
    while found:
        held, times = found.group(1), found.group(2) or ""
        varies = "\x00" if _VARIES.search(held) else ""
        written_out = "\x01" if "\x01" in held else ""
        if varies and times not in ("", "?"):
            if written_out or not re.fullmatch(r"\{[0-9]\}", times):
                return True
            written_out = "\x01"
        rest = (
            f"{rest[: found.start()]}x{varies}{written_out}{times}{rest[found.end() :]}"
        )
        found = _GROUP.search(rest)
    return False


def _is_plain(text: str, most: int) -> bool:
    return len(text) <= most and not _CONTROL.search(text)


def _bounded(setting: Setting, text: str, pattern: re.Pattern[str]) -> Optional[str]:
    if not pattern.match(text):
        return None
    number = Decimal(text)
    is_low = setting.min is not None and number < Decimal(setting.min)
    is_high = setting.max is not None and number > Decimal(setting.max)
    return None if is_low or is_high else text


def _integer(setting: Setting, text: str) -> Optional[str]:
    return _bounded(setting, text, _INTEGER)


def _number(setting: Setting, text: str) -> Optional[str]:
    return _bounded(setting, text, _NUMBER)


def _port(setting: Setting, text: str) -> Optional[str]:
    found = _bounded(setting, text, _INTEGER)
    return found if found and 0 < int(found) < 1 << 16 else None


def _text(setting: Setting, text: str) -> Optional[str]:
    fits = setting.pattern is None or re.fullmatch(setting.pattern, text)
    return text if _is_plain(text, MAX_TEXT) and fits else None


def _boolean(setting: Setting, text: str) -> Optional[str]:
    return _BOOLEANS.get(text.lower())


def _choice(setting: Setting, text: str) -> Optional[str]:
    return text if text in setting.choices else None


def _path(setting: Setting, text: str) -> Optional[str]:
    # A colon would end it where Compose reads mounts.
    is_plain = _is_plain(text, 1024) and not set(text) & {":", "\\"}
    fits = text.startswith("/") and ".." not in text.split("/")
    return text if is_plain and fits else None


def _gpus(setting: Setting, text: str) -> Optional[str]:
    ids = text.split(",")
    fits = all(map(_GPU.match, ids)) and len(set(ids)) == len(ids)
    return text if text == "all" or fits else None


_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "text": "one line of text",
    "boolean": "true or false",
    "choice": "one of its choices",
    "port": "a port",
    "path": "an absolute path without a colon",
    "gpus": "all, or GPUs by index or UUID, with commas between",
}
_BOUNDS = {"integer": _INTEGER, "number": _NUMBER, "port": _INTEGER}
_READERS: Dict[str, Callable[[Setting, str], Optional[str]]] = {
    "integer": _integer,
    "number": _number,
    "text": _text,
    "boolean": _boolean,
    "choice": _choice,
    "port": _port,
    "path": _path,
    "gpus": _gpus,
}
