"""Read a finished bundle back, as a host would, before it gets its name.

What is damaged is struck from the record, so that the next build writes it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime

from sealift_manifests.bundle import open_bundle
from sealift_manifests.errors import DigestMismatchError, PayloadError
from sealift_manifests.index import Index, Pack
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust
from sealift_manifests.verify import Damage, find_damage

from sealift_bundler.progress import Meter
from sealift_bundler.report import Report
from sealift_bundler.target import Target


def read_back(target: Target, trust: Trust, now: datetime, report: Report) -> None:
    """Verify what was written, from the disk, not from the cache.

    Raises DigestMismatchError or PayloadError naming all that is damaged.
    """
    with Media([str(target.path)]) as media:
        for name in media.names():
            media.open(name).drop_cache()
        bundle = open_bundle(media, trust, now)
        total = sum(pack.size for pack in bundle.index.packs)
        with report.progress("reading back", total) as progress:
            damages = find_damage(bundle, _ByPack(progress, bundle.index.packs))
    if not damages:
        return
    first = min(_first_chunks(damages, bundle.index), default=None)
    if first is not None:
        # Before a chunk stand those before it, and a line for each pack before its own.
        target.record.cut(first + bundle.index.chunks[first].pack)
    lines = "\n".join(str(damage) for damage in damages)
    unread = all(damage.kind in ("missing", "unreadable") for damage in damages)
    raise (PayloadError if unread else DigestMismatchError)(
        f"the disk does not give back what was written:\n{lines}",
        hint="It or its connection may be failing: look at `dmesg`. Run the build "
        "again: it goes on where the damage begins. If that fails too, choose another "
        "place with -o.",
    )


def _first_chunks(damages: Sequence[Damage], index: Index) -> Iterator[int]:
    """Yield the number of the first damaged chunk of each damaged pack."""
    numbers = {pack.name: number for number, pack in enumerate(index.packs)}
    starts = {
        numbers[damage.name]: damage.ranges[0][0] if damage.ranges else 0
        for damage in damages
        if damage.name in numbers
    }
    for number, chunk in enumerate(index.chunks):
        if chunk.offset == starts.get(chunk.pack):
            yield number


class _ByPack:
    """Counts bytes of packs that are read in order, and says which one it is."""

    def __init__(self, meter: Meter, packs: Sequence[Pack]) -> None:
        self._meter = meter
        self._packs = iter(packs)
        self._rest = 0
        self._item = ExitStack()

    def __call__(self, size: int) -> None:
        pack = None if self._rest else next(self._packs, None)
        if pack:
            self._item.close()
            self._item.enter_context(self._meter.item(pack.name))
            self._rest = pack.size
        self._rest -= size
        self._meter(size)
