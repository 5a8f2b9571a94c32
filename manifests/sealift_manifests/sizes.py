"""Numbers of bytes and of things, for people."""

from __future__ import annotations


def human(size: int) -> str:
    """Return a number of bytes for people."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} TiB"


def counted(number: int, thing: str) -> str:
    """Return a number of things for people: `1 pack`, `2 packs`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
