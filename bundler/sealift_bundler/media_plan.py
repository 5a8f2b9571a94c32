"""Which pack lies on which medium. Pure: `plan` and `copy` measure, this decides.

Packs are whole files and are placed in order, each on the first medium with room.
All packs but the last are nearly of one size, so this wastes no medium.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest
from sealift_manifests.model import Manifest

_MOST = 99
"""More media of one kind than anybody carries."""


@dataclass(frozen=True)
class PlannedPack:
    """A pack, made or expected: bytes, and the models and images it has parts of."""

    name: str
    size: int
    holds: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """Its number as it stands in its name, without leading zeros."""
        return self.name.removesuffix(".pack").rpartition("-")[2].lstrip("0")


@dataclass(frozen=True)
class Medium:
    """A place for packs: `room` bytes, of which each file takes whole `unit`s.

    `largest` is the longest file that its file system can hold; None for any.
    """

    name: str
    room: int
    unit: int = 1
    largest: int | None = None

    def takes(self, size: int) -> int:
        """Return how much room a file of `size` bytes takes here."""
        return -(-size // self.unit) * self.unit

    def can_hold(self, size: int) -> bool:
        """Say whether its file system takes a file this long, room or not."""
        return self.largest is None or size <= self.largest


@dataclass(frozen=True)
class Load:
    """The packs that go onto one medium."""

    medium: Medium
    packs: tuple[PlannedPack, ...]

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(pack.size for pack in self.packs)


@dataclass(frozen=True)
class Layout:
    """A load for each medium, in the order of the media, and what found no room."""

    loads: tuple[Load, ...]
    left: tuple[PlannedPack, ...]

    @property
    def short(self) -> int:
        """Bytes that found no room."""
        return sum(pack.size for pack in self.left)


@dataclass
class _Filling:
    medium: Medium
    free: int
    packs: list[PlannedPack] = field(default_factory=list)

    def take(self, pack: PlannedPack) -> bool:
        needed = self.medium.takes(pack.size)
        if needed > self.free or not self.medium.can_hold(pack.size):
            return False
        self.free -= needed
        self.packs.append(pack)
        return True


def lay_out(packs: Iterable[PlannedPack], media: Iterable[Medium]) -> Layout:
    """Place each pack on the first medium that has room for it."""
    filling = [_Filling(medium, medium.room) for medium in media]
    left = [pack for pack in packs if not any(each.take(pack) for each in filling)]
    loads = tuple(Load(each.medium, tuple(each.packs)) for each in filling)
    return Layout(loads, tuple(left))


def count_needed(packs: Iterable[PlannedPack], medium: Medium) -> int | None:
    """Return how many media like this one the packs fill; None if too many, or never.

    At least one, for the small files.
    """
    filling: list[_Filling] = []
    for pack in packs:
        if any(each.take(pack) for each in filling):
            continue
        filling.append(_Filling(medium, medium.room))
        if not filling[-1].take(pack) or len(filling) > _MOST:
            return None
    return max(1, len(filling))


def ranges(packs: Sequence[PlannedPack]) -> str:
    """Return the numbers of packs for people, such as `packs 1-14, 28`."""
    spans: list[list[str]] = []
    previous = ""
    for number in (pack.number for pack in packs):
        if spans and previous.isdigit() and number == str(int(previous) + 1):
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
        previous = number
    if not spans:
        return "no packs"
    return f"pack{'s' * (len(packs) > 1)} {', '.join('-'.join(s) for s in spans)}"


def holds(packs: Iterable[PlannedPack]) -> tuple[str, ...]:
    """Return the models and images that these packs have parts of, each once."""
    return tuple(dict.fromkeys(name for pack in packs for name in pack.holds))


def packs_of(bundle: Bundle) -> tuple[PlannedPack, ...]:
    """Return the packs of a finished bundle."""
    held: list[dict[str, None]] = [{} for _ in bundle.index.packs]
    for digest, names in _owners(bundle.manifest).items():
        for number in bundle.index.contents[digest].chunks:
            held[bundle.index.chunks[number].pack] |= names
    return tuple(
        PlannedPack(pack.name, pack.size, tuple(names))
        for pack, names in zip(bundle.index.packs, held, strict=True)
    )


def _owners(manifest: Manifest) -> dict[Digest, dict[str, None]]:
    """Return for each content the models and images it belongs to, in order."""
    owners: dict[Digest, dict[str, None]] = {}
    for model in manifest.models:
        for file in model.files:
            owners.setdefault(file.digest, {})[f"model {model.name}"] = None
    for image in manifest.images:
        for blob in image.blobs:
            owners.setdefault(blob.digest, {})[f"image {image.name}"] = None
    for entry in manifest.stack.files if manifest.stack else ():
        owners.setdefault(entry.digest, {})["stack"] = None
    return owners
