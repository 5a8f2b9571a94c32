"""The NVIDIA tables that judge hosts and travel: the newest of ours and a file."""

from __future__ import annotations

from pathlib import Path

from sealift_manifests.preflight.newest import (
    MAX_TABLES,
    ChosenTables,
    Offer,
    built_in,
    newest_tables,
    read_tables,
)

from sealift_bundler.documents import read_named


def tables_of(path: Path | None) -> ChosenTables:
    """Return the newest tables: those built in, or those of a file that was named.

    The file is no one's but the caller's who signs for it, so a fault in it is an
    error here: ManifestError, FormatVersionError, or UsageError where it is not there.
    """
    if path is None:
        return built_in()
    data = read_named(
        path,
        MAX_TABLES,
        hint="Name a file of NVIDIA tables, such as nvidia-tables.json of a bundle "
        "that a newer Sealift built.",
    )
    read_tables(data, str(path))
    return newest_tables([Offer(path.name, data)])
