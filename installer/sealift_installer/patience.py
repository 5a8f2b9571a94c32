"""Do not hammer on a medium that was pulled out or is failing all over."""

from __future__ import annotations

from collections import Counter
from typing import Counter as Counts

from sealift_manifests.bundle import Bundle

READ_ERRORS = 16
"""So many in a row, and a medium is not asked any more: each may take half a minute."""


class Patience:
    """Counts the read errors of each medium, and gives up the one that has too many."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._seen = len(bundle.bad_copies)
        self._in_a_row: Counts[str] = Counter()

    def note(self, number: int) -> None:
        """Look at what happened when chunk `number` was read."""
        news = self._bundle.bad_copies[self._seen :]
        self._seen += len(news)
        failed = {bad.file.place for bad in news if not bad.is_changed}
        for place in failed:
            self._in_a_row[place] += 1
            if self._in_a_row[place] >= READ_ERRORS:
                self._bundle.media.give_up(place)
        chunk = self._bundle.index.chunks[number]
        if chunk.is_base:
            return
        pack = self._bundle.index.packs[chunk.pack]
        for file in self._bundle.media.copies(pack.name)[:1]:
            # It was asked first, and did not fail.
            if file.place not in failed:
                self._in_a_row[file.place] = 0
