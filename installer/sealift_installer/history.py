"""Which releases of a bundle were in use before, and which came up last.

The link `current` says which is in use; this file says what it led to before. It is
written before the link is moved, and whoever reads it passes over the release in use,
so a move that is cut off between the two changes nothing that is said here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Container, Optional, Tuple

from sealift_manifests import records, strictjson
from sealift_manifests.errors import ManifestError

from sealift_installer import durable
from sealift_installer.layout import Layout


@dataclass(frozen=True)
class History:
    """Releases of one bundle, by the names of their directories.

    `used`: those that were in use, the latest first. `started`: the last one whose
    stack came up healthy, be it in use or not.
    """

    used: Tuple[str, ...] = ()
    started: Optional[str] = None

    def left(self, name: str) -> History:
        """Return the history once `name` is no longer the release in use."""
        others = tuple(each for each in self.used if each != name)
        return replace(self, used=(name, *others))

    def only(self, names: Container[str]) -> History:
        """Return the history of those of these names."""
        return History(
            tuple(each for each in self.used if each in names),
            self.started if self.started in names else None,
        )


def read_history(layout: Layout, bundle: str) -> History:
    """Return what is known; nothing for a bundle that has had one release only."""
    path = layout.history(bundle)
    data = durable.read_file(path)
    if data is None:
        return History()
    try:
        return records.decode(History, strictjson.load(data, path), path)
    except ManifestError as error:
        raise ManifestError(
            error.message,
            hint=f"Remove {path} if it is damaged: all that is lost is which release "
            "was in use before the present one.",
        ) from error


def _write(layout: Layout, bundle: str, history: History) -> None:
    path = layout.history(bundle)
    if history == History():
        durable.remove_file(path)
        return
    data = strictjson.dump(records.encode(history))
    if durable.read_file(path) != data:
        durable.make_directories(os.path.dirname(path))
        durable.replace_file(path, data, 0o644)


def note_left(
    layout: Layout, bundle: str, name: str, installed: Container[str]
) -> None:
    """Write down that release `name` is about to be followed by another."""
    history = _readable(layout, bundle)
    _write(layout, bundle, history.only(installed).left(name))


def note_started(layout: Layout, bundle: str, name: str) -> None:
    """Write down that the stack of release `name` came up."""
    history = _readable(layout, bundle)
    _write(layout, bundle, replace(history, started=name))


def forget(layout: Layout, bundle: str, names: Container[Optional[str]]) -> None:
    """Write down that these releases are there no more, or no more whole."""
    history = _readable(layout, bundle)
    started = history.started if history.started not in names else None
    used = tuple(each for each in history.used if each not in names)
    _write(layout, bundle, History(used, started))


def _readable(layout: Layout, bundle: str) -> History:
    """Return what is known, to be written anew: no release fails for an old note."""
    try:
        return read_history(layout, bundle)
    except ManifestError:
        return History()
