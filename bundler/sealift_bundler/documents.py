"""Small documents that the user names: surveys, requests, NVIDIA tables."""

from __future__ import annotations

from pathlib import Path

from sealift_manifests.errors import UsageError


def read_named(path: Path, most: int, *, hint: str) -> bytes:
    """Return what a file holds: `most` bytes, and one more if it is longer.

    Raises UsageError, with this hint, for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint=hint
        ) from error
