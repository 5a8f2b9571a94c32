"""Look at a finished bundle as a host would, before it gets its name.

Chunks that were read back while others were packed are not read again, but for the
first of each pack: a stick that claims to be larger than it is gives back what was just
written, and loses by then what was written first. What is damaged is struck from the
record, so that the next build writes it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack
from datetime import datetime

from sealift_manifests.bundle import open_bundle
from sealift_manifests.index import Index
from sealift_manifests.measured_packs import chunks_of_packs
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust
from sealift_manifests.verification import Damage
from sealift_manifests.verify import measure

from sealift_bundler.behind import not_given_back
from sealift_bundler.progress import Meter
from sealift_bundler.report import Report
from sealift_bundler.target import Target


def read_back(
    target: Target, trust: Trust, now: datetime, report: Report, good: Set[int]
) -> None:
    """Verify what was written, from the disk, not from the cache.

    `good` are the numbers of the chunks that were read back already. Raises
    DigestMismatchError or PayloadError naming all that is damaged.
    """
    with Media([str(target.path)]) as media:
        bundle = open_bundle(media, trust, now)
        index = bundle.index
        known = good - {numbers[0] for numbers in chunks_of_packs(index)}
        left = _left(index, known)
        total = sum(size for _, size in left)
        with report.progress("reading back", total) as progress:
            damages = measure(bundle, _ByFile(progress, left), known).damages
    if not damages:
        return
    first = min(_first_chunks(damages, index), default=None)
    if first is not None:
        target.record.strike(first, index.chunks[first].pack)
    raise not_given_back(damages)


def _left(index: Index, known: Set[int]) -> list[tuple[str, int]]:
    """Return the large files that are to be read, and how many bytes of each."""
    sizes = dict(index.large_files)
    for number in known:
        chunk = index.chunks[number]
        sizes[index.packs[chunk.pack].name] -= chunk.stored_size
    return [(name, size) for name, size in sizes.items() if size]


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


class _ByFile:
    """Counts bytes of large files that are read in order, and says which one it is.

    `files` have a name and a size in bytes each.
    """

    def __init__(self, meter: Meter, files: Sequence[tuple[str, int]]) -> None:
        self._meter = meter
        self._files = iter(files)
        self._rest = 0
        self._item = ExitStack()

    def __call__(self, size: int) -> None:
        name, length = ("", 0) if self._rest else next(self._files, ("", 0))
        if name:
            self._item.close()
            self._item.enter_context(self._meter.item(name))
            self._rest = length
        self._rest -= size
        self._meter(size)
