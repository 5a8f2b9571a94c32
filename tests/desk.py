"""Where the tests of `copy` run it: a bundle in three packs, notes, a terminal."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
from pathlib import Path

import making
from making import SEALIFT, Key, Outcome, sealift
from sticks import MIB

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


class Terminal:
    """A user at a terminal: waits for a question, does something, answers."""

    def __init__(self, argv: list[str | Path], env: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.run = subprocess.Popen(
            [SEALIFT, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, **env, "COLUMNS": "200"},
        )
        os.close(slave)
        self.said = self._unheard = ""

    def wait_for(self, words: str) -> None:
        """Read until the program has said these words since those before."""
        while words not in self._unheard:
            assert self._read(), f"{words!r} was not said, but:\n{self.said}"
        self._unheard = self._unheard.partition(words)[2]

    def answer(self, text: str = "") -> None:
        """Type a line."""
        os.write(self._master, f"{text}\n".encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        os.close(self._master)
        return self.run.wait(timeout=making.PATIENCE)

    def _read(self) -> str:
        try:
            data = os.read(self._master, 65536).decode(errors="replace")
        except OSError as error:
            assert error.errno == errno.EIO  # the other end is closed
            return ""
        self.said += data
        self._unheard += data
        return data
