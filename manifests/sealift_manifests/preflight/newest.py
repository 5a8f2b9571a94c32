"""Which NVIDIA tables judge: the newest of those built in and those in signed bundles.

So an older program is not bound to what was known when it was made. Tables that
cannot be read are told of and passed over: what is built in always will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Tuple

from sealift_manifests.errors import ManifestError, SealiftError
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.tables import (
    TABLES_FORMAT,
    Tables,
    default_tables,
    default_tables_data,
    parse_tables,
)

TABLES_NAME = "nvidia-tables.json"
"""The name under which a bundle carries the tables it was built with."""

MAX_TABLES = 4 << 20
"""The largest accepted file of tables, in bytes."""

BUILT_IN = "built in"


@dataclass(frozen=True)
class Offer:
    """A file of tables, or why there is none to be read (`fault`)."""

    origin: str
    data: bytes = b""
    fault: str = ""


@dataclass(frozen=True)
class ChosenTables:
    """The tables that judge, the bytes they were read from, and where they are from.

    `unread`: a note for each offer that could not be used, for its own fault.
    """

    tables: Tables
    data: bytes
    origin: str
    unread: Tuple[Finding, ...] = ()

    @property
    def label(self) -> str:
        """What people are told: their date and where they are from."""
        return f"{self.tables.as_of} ({self.origin})"

    def facts(self) -> Dict[str, Any]:
        """Return what --json says."""
        return {"as_of": self.tables.as_of, "origin": self.origin}


def built_in() -> ChosenTables:
    """Return the tables that came with this code."""
    return ChosenTables(default_tables(), default_tables_data(), BUILT_IN)


def newest_tables(offers: Iterable[Offer]) -> ChosenTables:
    """Return the newest readable tables; of one date those built in, then the first."""
    best = built_in()
    unread: List[Finding] = []
    for offer in offers:
        try:
            if offer.fault:
                raise ManifestError(offer.fault, hint="")
            tables = read_tables(offer.data, f"{TABLES_NAME} of {offer.origin}")
        except SealiftError as error:
            unread.append(_unread(offer.origin, error.message))
            continue
        if tables.as_of > best.tables.as_of:
            best = ChosenTables(tables, offer.data, offer.origin)
    return ChosenTables(best.tables, best.data, best.origin, tuple(unread))


def read_tables(data: bytes, where: str) -> Tables:
    """Return the tables of a file; raise ManifestError or FormatVersionError."""
    if len(data) > MAX_TABLES:
        raise ManifestError(
            f"{where} has {len(data)} bytes, too many for a file of tables",
            hint="Name the file of tables that came with a newer Sealift.",
        )
    return parse_tables(data, where)


def _unread(origin: str, why: str) -> Finding:
    return found(
        "tables-unread", origin, why, f"tables of format {TABLES_FORMAT}, as signed"
    )
