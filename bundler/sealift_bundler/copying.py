"""Copy a bundle to media: look at what is there, plan, write, read back, go on.

Tells the story; bytes are moved by `medium`, decisions are made in `media_plan`. The
source is read once, and each chunk is hashed before it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sealift_manifests.errors import OutputError, UsageError
from sealift_manifests.sizes import human
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.verify import Progress

from sealift_bundler.copy_record import Record, RecordFile, Stick
from sealift_bundler.copy_source import CopySource
from sealift_bundler.media_plan import (
    LargeFile,
    Layout,
    Load,
    Medium,
    lay_out,
    ranges,
)
from sealift_bundler.medium import MediumFolder
from sealift_bundler.report import Report

_SLACK = 1 << 20
"""Bytes for what a file system needs besides the files: names, tables."""


@dataclass(frozen=True)
class Slot:
    """A medium in a slot as it was found: which files are good there, which are bad.

    `stick` is its number in the record (from 0), if it is known.
    """

    folder: MediumFolder
    medium: Medium
    good: frozenset[str]
    bad: tuple[str, ...]
    stick: int | None


@dataclass
class Copying:
    """A copy under way, and what it has come to so far.

    `finished` are the numbers of the sticks that this run has filled and read back;
    `from_memory` says of a place why its bytes may not have come from the medium.
    """

    source: CopySource
    report: Report
    now: datetime
    file: RecordFile
    record: Record
    finished: set[int] = field(default_factory=set)
    from_memory: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, source: CopySource, report: Report, now: datetime) -> Copying:
        """Begin a copy, or go on with one that was not finished."""
        file = RecordFile.of(source.bundle.root)
        return cls(source, report, now, file, file.load())

    def from_start(self) -> None:
        """Count nothing as copied that is not in a slot now."""
        self.record = Record(self.source.bundle.root)

    def fill(self, slots: Sequence[Slot]) -> Layout:
        """Fill the media in the slots; return what went where and what is left."""
        layout = self.plan(slots)
        for slot, load in zip(slots, layout.loads, strict=True):
            if load.files or slot.good:
                self._fill(slot, load)
            else:
                self.report.step(f"{slot.folder.place} is not needed")
        return layout

    def look(self, place: Path, *, only_sizes: bool = False) -> Slot:
        """Find out what is on a medium; what bears the name of a large file is read.

        With `only_sizes` it is not: a file of the right size counts as good.
        """
        folder = MediumFolder(place, self.source.name)
        sizes = folder.sizes(self.source.names)
        if any(self.source.lies_at(folder.path / name, name) for name in sizes):
            raise _onto_itself(folder.path)
        is_ours = self._is_ours(folder, sizes)
        there = [file for file in self.source.large.values() if file.name in sizes]
        stick = self.record.holding({file.name for file in there})
        whole = [file for file in there if sizes[file.name] == file.size]
        if only_sizes or self._was_just_written(stick, whole):
            good = {file.name for file in whole}
        else:
            good = self._read(folder, whole)
        bad = tuple(file.name for file in there if file.name not in good)
        if bad and not is_ours:
            raise _in_the_way(folder.path / bad[0])
        reusable = sum(sizes[name] for name in bad)
        reusable += sum(map(folder.partial_size, self.source.names))
        medium = self._medium(folder, sizes, reusable)
        return Slot(folder, medium, frozenset(good), bad, stick)

    def plan(self, slots: Sequence[Slot]) -> Layout:
        """Decide where the files go that are on none of the media."""
        here = {slot.stick for slot in slots}
        done = {name for slot in slots for name in slot.good}
        for number, stick in enumerate(self.record.sticks):
            if number not in here:
                done |= set(stick.files)
        todo = [file for name, file in self.source.large.items() if name not in done]
        media = [slot.medium for slot in slots]
        for file in todo:
            if not any(medium.can_hold(file.size) for medium in media):
                raise _too_long(file, media)
        return lay_out(todo, media)

    def _is_ours(self, folder: MediumFolder, sizes: dict[str, int]) -> bool:
        if SUMS_NAME not in sizes:
            return False
        if not folder.holds(SUMS_NAME, self.source.small[SUMS_NAME]):
            raise _in_the_way(folder.path / SUMS_NAME)
        return True

    def _was_just_written(self, stick: int | None, there: Sequence[LargeFile]) -> bool:
        """Say whether this run has filled this very stick, and read it back."""
        if stick is None or stick not in self.finished:
            return False
        names = {file.name for file in there}
        return names == set(self.record.sticks[stick].files)

    def _read(self, folder: MediumFolder, there: Iterable[LargeFile]) -> set[str]:
        files = list(there)
        total = sum(file.size for file in files)
        good = set()
        label = f"reading what is on {folder.place}"
        with self.report.progress(label, total) as progress:
            for file in files:
                units = self.source.units[file.name]
                found = folder.read_back(file.name, units, progress)
                if not found.bad:
                    good.add(file.name)
                    self._note(folder, found.from_memory)
        if good:
            kept = [file for file in files if file.name in good]
            self.report.step(
                f"{folder.place}: {ranges(kept)} there already, verified, not copied "
                "again"
            )
        return good

    def _medium(
        self, folder: MediumFolder, sizes: dict[str, int], reusable: int
    ) -> Medium:
        free, unit = folder.room()
        medium = Medium(str(folder.place), 0, unit, folder.largest_file())
        small = [
            medium.takes(len(data))
            for name, data in self.source.small.items()
            if sizes.get(name) != len(data)
        ]
        return replace(medium, room=max(free + reusable - sum(small) - _SLACK, 0))

    def _fill(self, slot: Slot, load: Load) -> None:
        """Write what is missing on one medium, and read it back."""
        folder, number = slot.folder, slot.stick
        label = len(self.record.sticks) if number is None else number
        if load.files:
            self.report.step(
                f"stick {label + 1} at {folder.place}: {ranges(load.files)}, "
                f"{human(load.size)}"
            )
        with folder.locked():
            unwanted = set(self.source.large) - {file.name for file in load.files}
            folder.remove(
                *(folder.path / name for name in slot.bad),
                *map(folder.partial, sorted(unwanted)),
            )
            self._write_small(folder)
            with self.report.progress(f"stick {label + 1}", 2 * load.size) as progress:
                for file in load.files:
                    with progress.item(file.name):
                        self._write_large(folder, file, progress)
        names = {*slot.good, *(file.name for file in load.files)}
        files = tuple(name for name in self.source.large if name in names)
        stick = Stick(files, str(folder.place), self.now.isoformat())
        self.record = self.record.with_stick(stick, number)
        self.finished.add(label)
        self.file.save(self.record)

    def _write_small(self, folder: MediumFolder) -> None:
        """Write the files that every medium gets; the list first, it says whose."""
        for name, data in self.source.small.items():
            if not folder.holds(name, data):
                folder.write(name, [data])
                if not folder.holds(name, data):
                    raise _failing(folder.path / name, "")

    def _write_large(
        self, folder: MediumFolder, file: LargeFile, progress: Progress
    ) -> None:
        """Write a file, from where an earlier run was cut off, and read it back."""
        units = self.source.units[file.name]
        done = folder.good_start(file.name, units)
        start = units[done - 1].end if done else 0
        with closing(self.source.blocks(file.name, done, progress)) as blocks:
            folder.write(file.name, blocks, start)
        found = folder.read_back(file.name, units, progress)
        self._note(folder, found.from_memory)
        if found.bad:
            folder.remove(folder.path / file.name)
            spans = ", ".join(f"{start}-{end}" for start, end in found.bad[:8])
            raise _failing(folder.path / file.name, f" (bytes {spans})")

    def _note(self, folder: MediumFolder, from_memory: str) -> None:
        """Tell once of each medium why reading it back proves less."""
        place = str(folder.place)
        if from_memory and place not in self.from_memory:
            self.from_memory[place] = from_memory
            self.report.step(
                f"{place} may be read back from memory: {from_memory}. To be sure, "
                "take it out, insert it again, and run `sealift verify` on it"
            )

    def tell_absent(self, slots: Sequence[Slot]) -> None:
        """Say what is counted as copied although it is in no slot."""
        here = {slot.stick for slot in slots}
        for number, stick in enumerate(self.record.sticks):
            if number not in here and number not in self.finished:
                files = [self.source.large[name] for name in stick.files]
                self.report.step(
                    f"stick {number + 1} is in no slot; an earlier run wrote "
                    f"{ranges(files)} to it on {stick.written[:10]}: not copied again "
                    "(--from-start forgets it)"
                )


def _in_the_way(path: Path) -> OutputError:
    return OutputError(
        f"{path} is in the way: it belongs to another bundle, or is damaged",
        hint="Move it away or delete it, or name another medium.",
    )


def _onto_itself(path: Path) -> UsageError:
    return UsageError(
        f"{path} is where the bundle is copied from",
        hint="Name another medium. `sealift verify` reads one and says what is bad.",
    )


def _too_long(file: LargeFile, media: Iterable[Medium]) -> OutputError:
    largest = max(medium.largest or 0 for medium in media)
    names = ", ".join(medium.name for medium in media)
    return OutputError(
        f"{names} takes files of at most {human(largest)}, and {file.name} has "
        f"{human(file.size)}",
        hint="FAT32 takes files of at most 4 GiB - 1. Format the medium as exFAT or "
        "ext4, or build with --part-size 4GiB-1 or less. Nothing was written to it.",
    )


def _failing(path: Path, where: str) -> OutputError:
    return OutputError(
        f"{path} does not read back as it was written{where}: the medium is failing",
        hint="Take another medium and run the same command again: what is good on "
        "other media is not copied again.",
    )
