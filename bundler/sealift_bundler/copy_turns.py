"""One slot, many media: ask for the next until everything is copied."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sealift_manifests.errors import OutputError
from sealift_manifests.sizes import counted, human

from sealift_bundler.copying import Copying, Slot
from sealift_bundler.media_plan import Layout, count_needed, ranges
from sealift_bundler.medium_faults import medium_faults

Ask = Callable[[str], str | None]
"""Ask the user for a line; None where there is nobody to answer."""


def copy_all(copying: Copying, places: Sequence[Path], ask: Ask) -> None:
    """Fill the media at these places, and those that come into the slots after them.

    Raises OutputError when files are left and nobody can insert the next medium.
    """
    check_places(places)
    mounts = {place for place in places if os.path.ismount(place)}
    for place in places:
        if os.stat(place).st_dev == os.stat("/").st_dev:
            copying.report.step(
                f"{place} is on this machine's own disk; if that is not meant, mount "
                "the medium there first"
            )
    try:
        slots = [copying.look(place) for place in places]
        copying.tell_absent(slots)
        layout = copying.fill(slots)
        while layout.left:
            slots = _next_slots(copying, slots, layout, mounts, ask)
            layout = copying.fill(slots)
    except KeyboardInterrupt as stop:
        stop.add_note("what is on media is kept, a half file is continued")
        raise


def check_places(places: Sequence[Path]) -> None:
    """Raise OutputError unless each place is a file system of its own."""
    seen: dict[int, Path] = {}
    for place in places:
        with medium_faults(place, "a copy"):
            device = os.stat(place).st_dev
        if device in seen:
            raise OutputError(
                f"{seen[device]} and {place} are on one file system",
                hint="Check that both media are mounted, and name one folder of each.",
            )
        seen[device] = place


def _next_slots(
    copying: Copying,
    slots: Sequence[Slot],
    layout: Layout,
    mounts: set[Path],
    ask: Ask,
) -> list[Slot]:
    """Ask until a medium is there that takes something; return what is in the slots."""
    places = [slot.folder.place for slot in slots]
    left = _still_to_copy(layout)
    news = f"{_written(layout)}{left}.\n"
    while True:
        where = ", ".join(map(str, places))
        answer = ask(
            f"{news}Unmount it and take it out. Insert the next one and press Enter "
            f"when it is mounted at {where}, or type where it is mounted: "
        )
        if answer is None:
            raise OutputError(
                f"nobody is at a terminal to insert the next medium; {left}",
                hint="Insert the next medium and run the same command again: it goes "
                "on from here.",
            )
        news = ""
        places = [Path(answer.strip())] if answer.strip() else places
        try:
            _require_mounted(places, mounts)
            check_places(places)
            found = [copying.look(place) for place in places]
            _require_other(copying, found)
        except OutputError as error:
            # The wrong medium, or none: another one can be put in.
            copying.report.step(f"{error.message}\n  {error.hint}")
        else:
            return found


def _require_mounted(places: Sequence[Path], mounts: set[Path]) -> None:
    for place in places:
        if place in mounts and not os.path.ismount(place):
            raise OutputError(
                f"nothing is mounted at {place}", hint="Mount the next medium there."
            )


def _require_other(copying: Copying, slots: Sequence[Slot]) -> None:
    """Raise OutputError unless one of these media takes something, or has it."""
    known = [slot for slot in slots if slot.stick in copying.finished]
    if any(slot.good for slot in slots if slot not in known):
        return
    if any(load.files for load in copying.plan(slots).loads):
        return
    names = ", ".join(slot.medium.name for slot in slots)
    if len(known) == len(slots):
        numbers = ", ".join(f"stick {(slot.stick or 0) + 1}" for slot in known)
        raise OutputError(
            f"{numbers} is still in {names}", hint="Take it out, insert the next."
        )
    raise OutputError(
        f"{names} has no room for any file that is left",
        hint="Make room there, or insert another.",
    )


def _written(layout: Layout) -> str:
    loads = [load for load in layout.loads if load.files]
    if not loads:
        return "no medium here has room for more; "
    return (
        f"{' and '.join(load.medium.name for load in loads)} written and read back: "
        "good; "
    )


def _still_to_copy(layout: Layout) -> str:
    """Say what found no room, and how many more media it takes."""
    text = f"{ranges(layout.left)} still to copy, {human(layout.short)}"
    roomy = max((load.medium for load in layout.loads), key=lambda each: each.room)
    more = count_needed(layout.left, roomy)
    return f"{text}: {counted(more, 'more stick')} like {roomy.name}" if more else text
