"""Syncs files beside the writing, and gives those that are whole their names.

One thread does it, so things happen in the order in which they are handed in. What
is safe when is written down in ARCHITECTURE.md.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Callable, Deque, List, Set

from sealift_installer import durable
from sealift_installer.layout import Layout
from sealift_installer.unfinished import Unfinished

CHECKPOINT = 256 << 20
"""Bytes that may be written without being safe: what a power cut costs at most."""

_WAITING = 64


class Shelf:
    """Takes files of the journal; `wait` or `close` it, or nothing is certain."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._syncer = ThreadPoolExecutor(1)
        self._waiting: Deque[Future[None]] = deque()
        self._folders: Set[str] = set()
        self._records: List[str] = []
        self._unsettled = 0

    def close(self) -> None:
        """Wait until all is durable, and end the thread."""
        try:
            self.wait()
        finally:
            self._syncer.shutdown()

    def wait(self) -> None:
        """Wait until all that was handed in is durable; raise the first OSError."""
        self._waiting.append(self._syncer.submit(self._settle))
        errors: List[OSError] = []
        while self._waiting:
            try:
                self._waiting.popleft().result()
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def keep(self, file: Unfinished) -> None:
        """Have what was written so far synced and listed."""
        self._submit(file.keep)

    def put(self, file: Unfinished) -> None:
        """Have a whole file, still open, synced and named."""
        folder = os.path.dirname(self._layout.content(file.content.digest))
        durable.make_directories(folder)
        self._submit(partial(self._finish, file))

    def _submit(self, job: Callable[[], None]) -> None:
        self._waiting.append(self._syncer.submit(job))
        full = len(self._waiting) > _WAITING
        while self._waiting and (full or self._waiting[0].done()):
            self._waiting.popleft().result()  # Raises what went wrong, and soon.
            full = False

    def _finish(self, file: Unfinished) -> None:
        file.seal()
        final = self._layout.content(file.content.digest)
        os.replace(file.path, final)
        self._folders.add(os.path.dirname(final))
        self._unsettled += file.content.size
        if file.is_listed:
            self._records.append(file.record)
        if self._unsettled >= CHECKPOINT:
            self._settle()

    def _settle(self) -> None:
        """Make the new names durable; only then are lists of ranges of no more use."""
        for folder in sorted(self._folders):
            durable.sync_directory(folder)
        for record in self._records:
            durable.remove_file(record)
        self._folders, self._records, self._unsettled = set(), [], 0
