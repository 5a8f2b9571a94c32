"""What a site makes of the settings of a bundle: values, and all that is wrong."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Dict, Iterable, Iterator, Mapping, Optional, Tuple

from sealift_manifests.settings import Setting


@dataclass(frozen=True)
class SettingFault:
    """What is wrong with a value, or with its name. `is_missing`: there is none."""

    name: str
    message: str
    is_missing: bool = False

    def __str__(self) -> str:
        """Return it in one line, for people."""
        return f"{self.name}: {self.message}"


@dataclass(frozen=True)
class Chosen:
    """A setting and its value on a host. `given`: by the host, not the default.

    `value` is None where there is none, or none that can be used.
    """

    setting: Setting
    value: Optional[str]
    given: bool


def choose(
    settings: Iterable[Setting], given: Mapping[str, str]
) -> Tuple[Tuple[Chosen, ...], Tuple[SettingFault, ...]]:
    """Return the value of each setting where a host gives these, and all faults.

    Names that are no setting are not looked at: `unknown_names` tells them.
    """
    chosen, faults = [], []
    for setting in settings:
        text = given.get(setting.name, setting.default)
        value = None
        if text is None:
            must = f"must be set: {setting.range}"
            faults.append(SettingFault(setting.name, must, is_missing=True))
        else:
            try:
                value = setting.read(text)
            except ValueError as error:
                faults.append(SettingFault(setting.name, str(error)))
        chosen.append(Chosen(setting, value, setting.name in given))
    return tuple(chosen), tuple(faults)


def unknown_names(
    settings: Iterable[Setting], given: Iterable[str]
) -> Iterator[SettingFault]:
    """Yield a fault for each name that is no setting, with the one that it may mean."""
    known = {setting.name.upper(): setting.name for setting in settings}
    for name in given:
        if name in known.values():
            continue
        near = difflib.get_close_matches(name.upper(), list(known), 1)
        guess = f"did you mean {known[near[0]]}? " if near else ""
        names = ", ".join(sorted(known.values())) or "none"
        yield SettingFault(name, f"is no setting; {guess}settings: {names}")


def values_of(chosen: Iterable[Chosen]) -> Dict[str, str]:
    """Return the values that there are, by the names of their settings."""
    return {c.setting.name: c.value for c in chosen if c.value is not None}


def value_to_end(setting: Setting, given: Optional[str], served: Optional[str]) -> str:
    """Return a value that Compose can read a file with, to stop what runs.

    The site's, or else what was `served` with, the default, or a stand-in. No pattern
    is matched, which may take long: what the site gives for one counts for nothing.
    """
    plain = replace(setting, pattern=None, default=None)
    for text in (given if setting.pattern is None else None, served, setting.default):
        try:
            if text is not None:
                return plain.read(text)
        except ValueError:
            continue
    return stand_in(setting)


def stand_in(setting: Setting) -> str:
    """Return what Compose most likely reads where one has no value that is known."""
    low = setting.min if setting.min is not None else setting.max
    return {
        "integer": low or "1",
        "number": low or "1",
        "port": low or "1",
        "boolean": "false",
        "choice": setting.choices[0] if setting.choices else "",
        "path": "/nonexistent",
        "gpus": "all",
    }.get(setting.type) or _text_stand_in(setting.pattern)


def _text_stand_in(pattern: Optional[str]) -> str:
    """Return a text for one of the places where Compose judges texts.

    By the letters of its pattern: a size or a duration, an address before a port, or
    a number. All are names and tags too.
    """
    if pattern is not None and "m" in pattern:
        return "1m"
    return "0.0.0.0" if pattern is None or "." in pattern else "1"
