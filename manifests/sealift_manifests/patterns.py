"""Regular expressions in a manifest: every reader takes the same ones, from 3.8 on."""

from __future__ import annotations

import re

_NEWER = re.compile(r"\(\?(?!:)|[*+?}]\+|\\z")
"""Parts of regular expressions that not every reader knows, or reads alike."""


def pattern_fault(pattern: str) -> str:
    """Return what is wrong with a regular expression, in words; "" for nothing."""
    if _NEWER.search(pattern):
        return r"must be without (?...) but (?:...), and without x*+ and \z"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    return ""
