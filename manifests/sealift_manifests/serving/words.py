"""The texts of a Compose service as Compose on the host will take them.

Variables get the defaults that the file gives them. What is not known is None.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, Iterable, Mapping, Match, Optional, Tuple

Word = Optional[str]
"""A word of a command line; None is a word that is not known."""

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<given>[^{}]*))?\}"
    r"|(?P<bare>[A-Za-z_]\w*))"
)

_EXPORT = re.compile(r"\Aexport ")


def resolved(value: Any) -> Word:
    """Return a scalar with its variables filled in from their defaults."""
    if isinstance(value, (Mapping, list)) or value is None:
        return None
    missing = False

    def fill(match: Match[str]) -> str:
        nonlocal missing
        if match["dollar"]:
            return "$"
        if (match["how"] or "").endswith("+"):
            return ""
        if (match["how"] or "").endswith("-"):
            return match["given"]
        missing = True
        return ""

    text = _VARIABLE.sub(fill, str(value))
    return None if missing or "${" in text else text


def command_words(value: Any) -> Optional[Tuple[Word, ...]]:
    """Return a `command` or `entrypoint` as words; None where none is given."""
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(resolved(each) for each in value)
    text = resolved(value)
    try:
        if text is None:
            # What surrounds a variable without a value is known all the same.
            return tuple(resolved(word) for word in shlex.split(str(value)))
        return tuple(shlex.split(text))
    except ValueError:
        return (None,)


def environment_of(value: Any) -> Dict[str, Word]:
    """Return `environment` from its list or its mapping form."""
    if isinstance(value, Mapping):
        # A key without a value is taken from the host.
        return {str(key): resolved(held) for key, held in value.items()}
    found: Dict[str, Word] = {}
    for item in value if isinstance(value, list) else ():
        name, equals, text = str(item).partition("=")
        found[name] = resolved(text) if equals else None
    return found


def env_file_values(lines: Iterable[str]) -> Dict[str, Word]:
    """Return the variables of an `env_file`."""
    found: Dict[str, Word] = {}
    for line in lines:
        name, equals, text = _EXPORT.sub("", line.strip(), 1).partition("=")
        text = text.strip()
        if not equals or name.startswith("#"):
            continue
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1]
        found[name.strip()] = None if "$" in text else text
    return found


class Options:
    """The options of a command line, by name, as argparse and its kin read them.

    Of one that is given twice the last counts. `max_len` and `max-len` are one.
    """

    def __init__(self, words: Iterable[Word]) -> None:
        self._words = tuple(words)

    def value(self, *names: str) -> Tuple[bool, Word]:
        """Return whether one of these is given, and its value, None if not known."""
        given, value = False, None
        for number, word in enumerate(self._words):
            name, equals, text = (word or "").partition("=")
            if _spelt(name) not in names:
                continue
            following = self._words[number + 1 : number + 2]
            given, value = True, text if equals else (following or (None,))[0]
        return given, value

    @property
    def are_known(self) -> bool:
        """Whether no word could be an option that nobody knows of."""
        before: Word = ""
        for word in self._words:
            is_value = (before or "").startswith("-") and "=" not in (before or "")
            if word is None and not is_value:
                return False
            before = word
        return True

    def flag(self, *names: str) -> Optional[bool]:
        """Return whether a switch is on; None where it is not given."""
        state = None
        for word in self._words:
            name, equals, text = (word or "").partition("=")
            name = _spelt(name)
            if name in names:
                state = not equals or text.lower() in ("1", "true", "yes")
            elif name.startswith("--no-") and f"--{name[5:]}" in names:
                state = False
        return state


def _spelt(name: str) -> str:
    return name.replace("_", "-") if name.startswith("--") else name
