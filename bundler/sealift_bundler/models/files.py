"""One file of a model, wherever it came from, as the content checks see it.

Says nothing of digests: those are measured while packing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class ModelFile:
    """A name in a model's tree, its size, and a way to read it from its start.

    Not `is_here`: it is not fetched yet, and must not be opened.
    """

    path: str
    size: int
    open: Callable[[], BinaryIO]
    is_here: bool = True

    @classmethod
    def at(cls, path: str, source: Path) -> ModelFile:
        """The file that lies at `source` and is called `path` in the model."""
        return cls(path, source.stat().st_size, lambda: source.open("rb"))

    @classmethod
    def not_here(cls, path: str, size: int) -> ModelFile:
        """A file of `size` bytes that is not fetched yet."""

        def opened() -> BinaryIO:
            raise AssertionError(f"{path} is not fetched for a plan")

        return cls(path, size, opened, is_here=False)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The extension in lower case, dot included; empty where there is none."""
        stem, dot, last = self.name.rpartition(".")
        return f".{last.lower()}" if dot and stem else ""

    def read_start(self, limit: int) -> bytes:
        """Return at most the first `limit` bytes."""
        with self.open() as stream:
            return stream.read(limit)
