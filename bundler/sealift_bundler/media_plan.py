"""Which pack lies on which medium. Pure: `plan` and `copy` measure, this decides.

Packs are whole files and are placed in order, each on the first medium with room.
All packs but the last are nearly of one size, so this wastes no medium. With parity
files no gap is filled: neighbours in the row protect each other's media.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest
from sealift_manifests.model import Manifest
from sealift_manifests.parity import SUFFIX
from sealift_manifests.sizes import counted

_MOST = 99
"""More media of one kind than anybody carries."""


@dataclass(frozen=True)
class LargeFile:
    """A pack or a parity file, made or expected, with its size in bytes.

    `holds`: the models and images that a pack has parts of. `in_row`: its bundle has
    parity files, so it is laid behind the one before it.
    """

    name: str
    size: int
    holds: tuple[str, ...] = ()
    in_row: bool = False

    @property
    def is_parity(self) -> bool:
        """Whether it is a parity file."""
        return self.name.endswith(SUFFIX)

    @property
    def number(self) -> str:
        """Its number as it stands in its name, without leading zeros."""
        return self.name.rpartition(".")[0].rpartition("-")[2].lstrip("0")


@dataclass(frozen=True)
class Medium:
    """A place for large files: `room` bytes, of which each file takes whole `unit`s.

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
    """The large files that go onto one medium."""

    medium: Medium
    files: tuple[LargeFile, ...]

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Layout:
    """A load for each medium, in the order of the media, and what found no room."""

    loads: tuple[Load, ...]
    left: tuple[LargeFile, ...]

    @property
    def short(self) -> int:
        """Bytes that found no room."""
        return sum(file.size for file in self.left)


@dataclass
class _Filling:
    medium: Medium
    free: int
    files: list[LargeFile] = field(default_factory=list)

    def take(self, file: LargeFile) -> bool:
        needed = self.medium.takes(file.size)
        if needed > self.free or not self.medium.can_hold(file.size):
            return False
        self.free -= needed
        self.files.append(file)
        return True


def lay_out(files: Iterable[LargeFile], media: Iterable[Medium]) -> Layout:
    """Place each file on the first medium that has room for it.

    Those in a row are only placed behind the last one: a medium holds neighbours, which
    parity protects best, and what is left is the end of the row.
    """
    filling = [_Filling(medium, medium.room) for medium in media]
    left: list[LargeFile] = []
    first = 0
    for file in files:
        open_ones = filling[first:] if file.in_row else filling
        blocked = bool(left) and file.in_row
        taker = next((e for e in open_ones if not blocked and e.take(file)), None)
        if taker is None:
            left.append(file)
        elif file.in_row:
            first = filling.index(taker)
    loads = tuple(Load(each.medium, tuple(each.files)) for each in filling)
    return Layout(loads, tuple(left))


def count_needed(files: Iterable[LargeFile], medium: Medium) -> int | None:
    """Return how many media like this one the files fill; None if too many, or never.

    At least one, for the small files.
    """
    filling: list[_Filling] = []
    for file in files:
        open_ones = filling[-1:] if file.in_row else filling
        if any(each.take(file) for each in open_ones):
            continue
        filling.append(_Filling(medium, medium.room))
        if not filling[-1].take(file) or len(filling) > _MOST:
            return None
    return max(1, len(filling))


def ranges(files: Sequence[LargeFile]) -> str:
    """Return the numbers for people, such as `packs 1-14, 28 and parity file 1`."""
    packs = [file.number for file in files if not file.is_parity]
    parity = [file.number for file in files if file.is_parity]
    kinds = (("pack", packs), ("parity file", parity))
    parts = [_numbered(kind, numbers) for kind, numbers in kinds if numbers]
    return " and ".join(parts) or "no packs"


def _numbered(kind: str, numbers: Sequence[str]) -> str:
    spans: list[list[str]] = []
    previous = ""
    for number in numbers:
        if spans and previous.isdigit() and number == str(int(previous) + 1):
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
        previous = number
    text = ", ".join("-".join(span) for span in spans)
    return f"{kind}{'s' * (len(numbers) > 1)} {text}"


def counts(files: Sequence[LargeFile]) -> str:
    """Return how many there are, for people: `3 packs and 1 parity file`."""
    parity = sum(file.is_parity for file in files)
    text = counted(len(files) - parity, "pack")
    return f"{text} and {counted(parity, 'parity file')}" if parity else text


def holds(files: Iterable[LargeFile]) -> tuple[str, ...]:
    """Return the models and images that these files have parts of, each once."""
    return tuple(dict.fromkeys(name for file in files for name in file.holds))


def large_files_of(bundle: Bundle) -> tuple[LargeFile, ...]:
    """Return the packs of a finished bundle, then its parity files."""
    held: list[dict[str, None]] = [{} for _ in bundle.index.packs]
    for digest, names in _owners(bundle.manifest).items():
        for number in bundle.index.contents[digest].chunks:
            chunk = bundle.index.chunks[number]
            if not chunk.is_base:
                held[chunk.pack] |= names
    in_row = bundle.index.parity is not None
    parity = bundle.index.parity.files if bundle.index.parity else ()
    return (
        *(
            LargeFile(pack.name, pack.size, tuple(names), in_row)
            for pack, names in zip(bundle.index.packs, held, strict=True)
        ),
        *(LargeFile(file.name, file.size, (), in_row) for file in parity),
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
