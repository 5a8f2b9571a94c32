"""A planning sheet: what 70 GB, 700 GB and 2 TB come to, from what was measured.

Pure. A step takes as long as its slowest part: reading the medium, writing the disk, or
the cores; the rates of cores, the size of a bundle and its memory were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sealift_bundler.media_plan import count_needed
from sealift_bundler.media_sizes import GB, expected_packs, stick

from .amdahl import Scaling
from .models import OURS
from .report import Table, markdown_of
from .values import Result

SIZES = (("70 GB", 70 * GB), ("700 GB", 700 * GB), ("2 TB", 2000 * GB))
STICKS = (64, 256, 1000)
"""In GB, as they are sold."""

PLACES = (
    ("USB stick, 100 MB/s", 100, 500),
    ("USB SSD, 400 MB/s", 400, 500),
    ("NVMe, 2000 MB/s", 2000, 2000),
)
"""Name and speed of the medium, and the speed of the host's disk, in MB/s."""

_PACK = (4 << 30) - 1
_SMALL = 2 << 20


@dataclass(frozen=True)
class Rates:
    """What was measured. Sizes are parts of the plain bytes, memory is in bytes."""

    cores: Mapping[str, Scaling]
    count: int
    stored: float
    index: float
    memory: int
    memory_of_index: float
    sources: tuple[str, ...]

    def seconds(self, step: str, plain: int, medium: int, disk: int) -> float:
        """Return what a step takes; speeds in bytes per second."""
        stored = plain * self.stored
        work = self.cores[step].seconds(self.count) * plain / GB
        moved = {
            # The sources lie on the disk; the bundle goes to the medium, and is read
            # back from there.
            "build": max(plain / disk, stored / medium) + stored / medium,
            "verify": stored / medium,
            "install": max(stored / medium, plain / disk),
            "audit": plain / disk,
        }
        return max(work, moved[step])


class NotMeasuredError(Exception):
    """The raw numbers lack what a plan needs; the message says which suite has it."""


def rates_of(about: Mapping[str, str], results: Sequence[Result]) -> Rates:
    """Take from raw numbers what a plan needs."""
    model = _last(results, "model", "stored")
    scaling = _last(results, "scaling", "build serial")
    huge = _last(results, "startup", "open memory")
    found = {"model": model, "scaling": scaling, "startup": huge}
    if lacking := [name for name, result in found.items() if result is None]:
        raise NotMeasuredError(f"the raw numbers lack the suites {', '.join(lacking)}")
    assert model and scaling and huge
    laws = {
        name: Scaling(
            *(
                scaling.figures[f"{name} {part}"]
                for part in ("serial", "shared", "chain")
            )
        )
        for name in OURS
    }
    peak = max(model.middle(name, "memory") for name in OURS)
    return Rates(
        cores=laws,
        count=int(about["machine"].split()[0]),
        stored=model.figures["stored"] / model.plain,
        index=huge.figures["index"] / huge.figures["bytes"],
        memory=int(peak),
        memory_of_index=huge.figures["open memory"] / huge.figures["bytes"],
        sources=(model.title, scaling.title, huge.title),
    )


def _last(results: Sequence[Result], suite: str, figure: str) -> Result | None:
    """Return the newest result of a suite that has this figure; bf16 goes first."""
    found = [r for r in results if r.suite == suite and figure in r.figures]
    return max(found, key=lambda r: r.title.startswith("bf16,"), default=None)


def sheet(about: Mapping[str, str], results: Sequence[Result]) -> Iterator[str]:
    """Yield the planning sheet in Markdown."""
    rates = rates_of(about, results)
    yield from markdown_of(_sizes(rates))
    yield ""
    yield from markdown_of(_times(rates))


def _sizes(rates: Rates) -> Table:
    sticks = [f"sticks of {size} GB" for size in STICKS]
    head = ("model, bf16", "bundle", "packs", "index", "memory", *sticks)
    rows = []
    for name, plain in SIZES:
        stored = int(plain * rates.stored)
        index = plain * rates.index
        memory = rates.memory + plain * rates.memory_of_index
        packs = expected_packs([(name, stored)], _PACK)
        counts = (
            count_needed(packs, stick(s * GB, int(index) + _SMALL)) for s in STICKS
        )
        rows.append(
            (
                name,
                f"{stored / GB:.0f} GB",
                str(len(packs)),
                f"{index / 10**6:.1f} MB",
                f"{memory / 2**20:.0f} MiB",
                *(str(count or "too many") for count in counts),
            )
        )
    notes = (
        f"bundle: {rates.stored:.4f} of the model, as in {rates.sources[0]}; packs of "
        "4 GiB - 1, which is what FAT32 takes",
        "memory: the peak of any command on the model that was measured, and the index "
        f"as it was measured with {rates.sources[2]}",
        "sticks: of their size 95 % can be used, and every one has the small files",
    )
    return Table(head, rows, notes)


def _times(rates: Rates) -> Table:
    head = ("model, bf16", "from or to", *OURS)
    rows = []
    for name, plain in SIZES:
        for place, medium, disk in PLACES:
            speeds = (medium * 10**6, disk * 10**6)
            times = (span(rates.seconds(step, plain, *speeds)) for step in OURS)
            rows.append((name, f"{place}; disk {disk} MB/s", *times))
    notes = (
        f"cores: {rates.count}, at the rates of {rates.sources[1]}; with more cores "
        "only what the cores hold up gets faster",
        "a step takes as long as the slowest of medium, disk and cores; build reads "
        "the sources from the disk, writes to the medium, and reads it back",
    )
    return Table(head, rows, notes)


def span(seconds: float) -> str:
    """Return a time for people: `40 s`, `12 min`, `2 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
