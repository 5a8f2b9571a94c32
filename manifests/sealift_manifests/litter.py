"""Files that desktop systems leave on every medium they see.

They are never part of a bundle. They are told apart from other unsigned files so
that a note about these stays worth reading.
"""

from __future__ import annotations

_KINDS = (
    *(".DS_Store", ".Spotlight-V100", ".TemporaryItems", ".Trashes", ".fseventsd"),
    *("$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini"),
)
_BY_NAME = {kind.lower(): kind for kind in _KINDS}


def litter_kind(name: str) -> str:
    """Return which litter a file name is, for people, or nothing for other names.

    The answer is one of a few texts of ours: names on a medium may hold anything.
    """
    return "._*" if name.startswith("._") else _BY_NAME.get(name.lower(), "")
