"""Documents that leave the host: surveys, receipts, repair requests."""

from __future__ import annotations

import os

from sealift_manifests.errors import StagingError

from sealift_installer import durable


def write_carried(path: str, data: bytes) -> str:
    """Write a document where it was asked for, for all to read; return the whole path.

    Raises StagingError.
    """
    path = os.path.abspath(path)
    try:
        durable.replace_file(path, data, 0o644)
    except OSError as error:
        raise StagingError(
            f"{path} cannot be written: {error.strerror}",
            hint="Name a file in a directory that this user may write to: -o FILE.",
        ) from error
    return path
