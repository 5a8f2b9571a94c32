"""How large the files of a bundle may be."""

from __future__ import annotations

from sealift_manifests.errors import UsageError
from sealift_manifests.index import MAX_CHUNK

MAX_PART_SIZE = 2**32 - 1
"""The default and largest pack that FAT32 takes, in bytes."""


def require_part_size(part_size: int) -> None:
    """Raise UsageError unless packs of so many bytes have room for any chunk."""
    if part_size < MAX_CHUNK:
        raise UsageError(
            f"--part-size is {part_size} bytes; at least {MAX_CHUNK} (8 MiB) "
            "are needed",
            hint="Give a larger --part-size, such as 4GiB-1 for FAT32.",
        )
