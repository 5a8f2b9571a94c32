"""What an unfinished copy has written to media that are not in a slot now.

Kept on this machine, in $XDG_STATE_HOME/sealift/copies, from the first medium until
the copy is finished: a later run goes on with the next medium. It is a note, not a
proof: what is on a medium that is there is read, whatever the note says.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from sealift_manifests import records
from sealift_manifests.digests import Digest
from sealift_manifests.errors import ManifestError, OutputError

from sealift_bundler.durable import sync_directory


@dataclass(frozen=True)
class Stick:
    """A medium of the set: the names of its packs and parity files, where and when
    it was written."""

    files: tuple[str, ...]
    place: str
    written: str


@dataclass(frozen=True)
class Record:
    """The media of a set, in the order of their numbers."""

    root: str
    sticks: tuple[Stick, ...] = ()

    def holding(self, names: set[str]) -> int | None:
        """Return which stick (from 0) a medium with these files is, if it is one."""
        shared = [len(names & set(stick.files)) for stick in self.sticks]
        return shared.index(max(shared)) if any(shared) else None

    def with_stick(self, stick: Stick, number: int | None) -> Record:
        """Return the record with a stick added, or with stick `number` replaced."""
        if number is None:
            return replace(self, sticks=(*self.sticks, stick))
        before, after = self.sticks[:number], self.sticks[number + 1 :]
        return replace(self, sticks=(*before, stick, *after))


@dataclass(frozen=True)
class RecordFile:
    """Where the record of the copies of one bundle is kept."""

    path: Path
    root: Digest

    @classmethod
    def of(cls, root: Digest) -> RecordFile:
        """Return the place of a bundle's record on this machine."""
        base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        return cls(Path(base) / "sealift" / "copies" / f"{root.hex}.json", root)

    def load(self) -> Record:
        """Return the record; an empty one where there is none that can be read."""
        empty = Record(self.root)
        try:
            value = json.loads(self.path.read_bytes())
            record = records.decode(Record, value, str(self.path))
        except (OSError, ValueError, ManifestError):
            return empty
        return record if record.root == self.root else empty

    def save(self, record: Record) -> None:
        """Keep the record through a power cut."""
        temporary = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w") as file:
                json.dump(records.encode(record), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}",
                hint="It notes which files are on which medium. Make room there, or "
                "set XDG_STATE_HOME to another folder.",
            ) from error

    def forget(self) -> None:
        """Remove the record: the copy is finished, or begins anew."""
        self.path.unlink(missing_ok=True)
