"""What this host remembers of a volume of data: what it was filled with, and when.

The record is written before the volume is made and again when all of it is there, so a
volume that is half filled is known as one. What has no record is the site's own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional, Tuple

from sealift_manifests import records, strictjson
from sealift_manifests.digests import Digest

from sealift_installer import durable
from sealift_installer.layout import Layout

FILLING, WHOLE = "filling", "whole"


@dataclass(frozen=True)
class Keeping:
    """A copy of what a volume held, which is not whole yet."""

    volume: str
    token: str


@dataclass(frozen=True)
class DataRecord:
    """How far a volume is. Its label `sealift.data.token` tells it from any other.

    `digest` is that of what it was filled with, by release `version` with this `root`.
    `kept` are the volumes with what it held before.
    """

    volume: str
    token: str
    state: str
    digest: Digest
    version: str
    root: Digest
    time: str
    kept: Tuple[str, ...] = ()
    keeping: Optional[Keeping] = None


def read_record(layout: Layout, bundle: str, label: str) -> Optional[DataRecord]:
    """Return what is remembered of a volume; None when it was never filled here."""
    path = layout.data(bundle, label)
    data = durable.read_file(path)
    if data is None:
        return None
    return records.decode(DataRecord, strictjson.load(data, path), path)


def write_record(layout: Layout, bundle: str, label: str, record: DataRecord) -> None:
    """Remember this of a volume; it is durable afterwards."""
    path = layout.data(bundle, label)
    durable.make_directories(os.path.dirname(path))
    durable.replace_file(path, strictjson.dump(records.encode(record)), 0o644)


def forget_records(layout: Layout, bundle: str) -> None:
    """Forget all volumes of a bundle."""
    folder = os.path.dirname(layout.data(bundle, "any"))
    if os.path.isdir(folder):
        durable.discard_directory(folder)


def recorded_labels(layout: Layout, bundle: str) -> Tuple[str, ...]:
    """Return the labels of a bundle's volumes that were ever filled here."""
    folder = os.path.dirname(layout.data(bundle, "any"))
    if not os.path.isdir(folder):
        return ()
    names = (os.path.splitext(name) for name in os.listdir(folder))
    return tuple(sorted(label for label, end in names if end == ".json"))
