"""Where the tests of `copy` run it: a bundle in three packs, notes, a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import making
from making import SEALIFT, Key, Outcome, sealift
from sticks import MIB
from terminals import Terminal

NAME = "spread-1.0.0"
FILES = {"big.gguf": making.noise("copy", 20 * MIB), "config.json": b"{}"}
PACKS = [f"data-{number:04}.pack" for number in (1, 2, 3)]
ROOM_FOR_ONE = "11m"
ROOM_FOR_ALL = "30m"


class Desk:
    """The connected machine: the bundle, its key, and a place for notes."""

    def __init__(self, folder: Path, bundle: Path, key: Key) -> None:
        self.bundle, self.key = bundle, key
        self.env = {"XDG_STATE_HOME": str(folder / "notes")}
        self.notes = folder / "notes/sealift/copies"

    def words(self, *places: Path) -> list[str | Path]:
        """Return the arguments that copy the bundle to these places."""
        to = [word for place in places for word in ("--to", place)]
        return ["copy", self.bundle, "--key", self.key.public, *to]

    def at_a_terminal(self, *places: Path, more: Sequence[str] = ()) -> Terminal:
        """Copy with a user at a terminal."""
        return Terminal([SEALIFT, *self.words(*places), *more], env=self.env)

    def copy(self, *places: Path, more: tuple[str | Path, ...] = ()) -> Outcome:
        """Copy without a terminal."""
        return sealift(*self.words(*places), *more, env=self.env)


def packs_in(folder: Path) -> list[str]:
    """Return the packs of a folder, in order."""
    return sorted(path.name for path in folder.glob("*.pack"))


def is_part_of(medium: Path, bundle: Path) -> bool:
    """Say whether all that lies on a medium is what the bundle has, nothing else."""
    found = making.listing(medium / NAME)
    whole = making.listing(bundle)
    small = {name: what for name, what in whole.items() if name not in PACKS}
    digests = {name: what.split()[-1] for name, what in whole.items()}
    return small.keys() <= found.keys() and all(
        digests.get(name) == what.split()[-1] for name, what in found.items()
    )
