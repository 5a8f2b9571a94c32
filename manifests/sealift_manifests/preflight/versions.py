"""Version numbers as hosts and images write them, compared by component."""

from __future__ import annotations

import re
from typing import Optional, Tuple

_NUMBERS = re.compile(r"\s*v?([0-9]{1,9}(?:\.[0-9]{1,9})*)")


def numbers(text: Optional[str]) -> Optional[Tuple[int, ...]]:
    """Return the numbers a version starts with, without zeros at the end.

    "20.10.24+dfsg1" gives (20, 10, 24), "12.0" gives (12,). None for what is not
    a version: it cannot be compared.
    """
    match = _NUMBERS.match(text or "")
    if not match:
        return None
    found = [int(part) for part in match.group(1).split(".")]
    while len(found) > 1 and not found[-1]:
        found.pop()
    return tuple(found)


def at_least(have: Optional[str], want: str) -> Optional[bool]:
    """Tell whether `have` is `want` or newer; None where that cannot be told."""
    left, right = numbers(have), numbers(want)
    return None if left is None or right is None else left >= right


def major_minor(text: Optional[str]) -> Optional[Tuple[int, int]]:
    """Return (12, 8) for "12.8.1" and (13, 0) for "13"."""
    found = numbers(text)
    return None if found is None else (*found, 0)[:2]  # type: ignore[return-value]


def branch(driver: Optional[str]) -> Optional[int]:
    """Return the branch of a driver: 550 for "550.54.15"."""
    found = numbers(driver)
    return None if found is None else found[0]


def capability(text: Optional[str]) -> Optional[Tuple[int, int]]:
    """Return (9, 0) for "9.0", and also for "9.0a", built for that chip alone."""
    return major_minor(text) if re.match(r"[0-9]+\.[0-9]+[af]?\Z", text or "") else None
