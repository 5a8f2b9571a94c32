"""What passes between the sides when a medium is bad: a request, and a patch's list.

Values and their bytes. A request is not signed: who reads it trusts nothing in it but
its shape. A patch's list is used only after the signature over the patch was checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, List, Sequence, Tuple, TypeVar

from sealift_manifests import records, strictjson
from sealift_manifests.digests import Digest
from sealift_manifests.index import MAX_CHUNK
from sealift_manifests.media import PATCH_NAME
from sealift_manifests.model import FORMAT, KNOWN_FEATURES, check_version
from sealift_manifests.paths import is_label, is_outer_name, is_version
from sealift_manifests.records import require
from sealift_manifests.strictjson import MAX_INTEGER
from sealift_manifests.sums import may_be_listed

REQUEST_TYPE = "sealift-repair-request"
PATCH_TYPE = "sealift-patch"

MAX_REPAIR_DOCUMENT = 64 << 20
"""The largest accepted request, and the largest accepted patch.json, in bytes."""

T = TypeVar("T", "RepairRequest", "PatchList")


@dataclass(frozen=True)
class RepairRequest:
    """What a host lacks of the bundle with this root.

    `chunks` are ranges [first, end) of chunk numbers of its index; `files` names the
    small files that no medium has whole.
    """

    format: int
    type: str
    name: str
    version: str
    root: Digest
    chunks: Tuple[Tuple[int, ...], ...] = ()
    files: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_head(self, REQUEST_TYPE)
        end = -1
        for pair in self.chunks:
            require(len(pair) == 2, "a range of chunks is not [first, end]")
            # Ranges that touch are one: so there is one way to say a thing.
            require(end < pair[0] < pair[1], "ranges of chunks are not in order")
            end = pair[1]
        require(end <= MAX_INTEGER, "a range ends beyond 2^53")
        _check_names(self.files)
        require(self.chunks or self.files, "nothing is asked for")

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the chunks that are asked for, in order."""
        for first, end in self.chunks:
            yield from range(first, end)


@dataclass(frozen=True)
class PatchPack:
    """A file of stored chunks in a patch, with its size in bytes."""

    name: str
    size: int

    def __post_init__(self) -> None:
        require(is_outer_name(self.name), f"{self.name!a} is no name of a file")
        require(self.name.endswith(".pack"), f"{self.name} is no name of a pack")
        require(0 < self.size <= MAX_INTEGER, f"{self.name} has a size out of range")


@dataclass(frozen=True)
class PatchChunk:
    """Where the stored bytes of a chunk, by its number in the bundle, lie in a patch.

    `pack` is the number of the patch's own pack, from 0; `offset` and `size` are in
    bytes.
    """

    chunk: int
    pack: int
    offset: int
    size: int

    def __post_init__(self) -> None:
        require(0 <= self.chunk <= MAX_INTEGER, "the number of a chunk out of range")
        require(0 < self.size <= MAX_CHUNK, f"a chunk of {self.size} bytes")


@dataclass(frozen=True)
class PatchList:
    """`patch.json`: which bundle a patch mends, and with what.

    The chunks fill the packs in order and without gaps, as they do in a bundle.
    """

    format: int
    type: str
    name: str
    version: str
    root: Digest
    packs: Tuple[PatchPack, ...] = ()
    chunks: Tuple[PatchChunk, ...] = ()
    files: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_head(self, PATCH_TYPE)
        _check_names(self.files)
        packs = [pack.name.lower() for pack in self.packs]
        require(len(set(packs)) == len(packs), "a pack is named twice")
        require(PATCH_NAME not in self.files, f"{PATCH_NAME} lists itself")
        numbers = [chunk.chunk for chunk in self.chunks]
        require(
            all(one < next_ for one, next_ in zip(numbers, numbers[1:])),
            "the numbers of the chunks do not rise",
        )
        require(self.chunks or self.files, "the patch mends nothing")
        _check_filled(self.packs, self.chunks)


def dump(document: T) -> bytes:
    """Return the exact bytes of a request or a patch's list, on one line."""
    return strictjson.dump_line(records.encode(document))


def parse_request(data: bytes, where: str) -> RepairRequest:
    """Parse a request; raise ManifestError or FormatVersionError for any other."""
    return _parse(RepairRequest, data, where)


def parse_patch_list(data: bytes, where: str) -> PatchList:
    """Parse a patch's list whose bytes were verified."""
    return _parse(PatchList, data, where)


def _parse(kind: Callable[..., T], data: bytes, where: str) -> T:
    value = strictjson.load(data, where)
    check_version(value, KNOWN_FEATURES, where)
    value.pop("features", None)
    return records.decode(kind, value, where)


def ranges_of(numbers: Iterable[int]) -> Tuple[Tuple[int, ...], ...]:
    """Return rising numbers as ranges [first, end)."""
    ranges: List[Tuple[int, ...]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return tuple(ranges)


def _check_head(document: Any, kind: str) -> None:
    require(document.format == FORMAT, f"format {document.format}")
    require(document.type == kind, f"type {document.type!a} where {kind} belongs")
    require(is_label(document.name), "name is no name of a bundle")
    require(is_version(document.version), "version is no version")


def _check_names(names: Sequence[str]) -> None:
    """Check names of small files: sorted, each once, ignoring case too."""
    for name in names:
        require(may_be_listed(name), f"{name!a} is no small file of a bundle")
        require(not name.endswith(".pack"), f"{name} is a pack")
    lower = {name.lower() for name in names}
    require(
        list(names) == sorted(names) and len(lower) == len(names),
        "names of files are not sorted, each once",
    )


def _check_filled(packs: Sequence[PatchPack], chunks: Sequence[PatchChunk]) -> None:
    ends = [0] * len(packs)
    last = 0
    for chunk in chunks:
        require(chunk.pack in (last, last + 1), "chunks are not in order of place")
        last = chunk.pack
        require(last < len(packs), "a chunk lies in a pack that is not named")
        require(
            chunk.offset == ends[last],
            f"chunk {chunk.chunk} does not lie where the one before it ends",
        )
        ends[last] += chunk.size
    require(ends == [pack.size for pack in packs], "a pack is not filled")
