"""Parity files in the index: which packs they protect, and digests of their bytes.

Packs and parity files make one row; what stands at position n is in group n mod
`groups`. So neighbours, which lie on one medium and are lost together, are in different
groups. `erasure` says what the bytes of a parity file are.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, NamedTuple, Sequence, Tuple

from sealift_manifests.digests import Digest
from sealift_manifests.erasure import MAX_ROWS
from sealift_manifests.paths import is_outer_name
from sealift_manifests.records import require

FEATURE = "parity"
"""The feature that an index with parity files names."""

SUFFIX = ".par"
BLOCK = 8 << 20
"""Bytes of a parity file that have one digest; its last block may be shorter."""


class Unit(NamedTuple):
    """A range [start, end) of a file that has a digest of its own."""

    start: int
    end: int
    digest: Digest


class ParityFile(NamedTuple):
    """A file of parity bytes: its size in bytes and the digests of its blocks."""

    name: str
    size: int
    blocks: Tuple[Digest, ...]

    def units(self, begin: int, end: int) -> Iterator[Unit]:
        """Yield the blocks that a range of the file touches, in order."""
        for number in range(begin // BLOCK, -(-end // BLOCK)):
            start = number * BLOCK
            yield Unit(start, min(start + BLOCK, self.size), self.blocks[number])


class Group(NamedTuple):
    """Data and parity rows of one code: numbers of packs and of parity files."""

    packs: Sequence[int]
    files: Sequence[int]


class Parity(NamedTuple):
    """The parity files of a bundle, as many for each of its groups."""

    groups: int
    files: Tuple[ParityFile, ...]

    @property
    def depth(self) -> int:
        """How many members of a group may be lost."""
        return len(self.files) // self.groups

    def group(self, number: int, packs: int) -> Group:
        """Return the members of a group; the bundle has `packs` packs."""
        return group_of(number, packs, self.groups, self.depth)


def group_of(number: int, packs: int, groups: int, depth: int) -> Group:
    """Return the members of group `number` when each has `depth` parity files."""
    first = (number - packs) % groups
    return Group(range(number, packs, groups), range(first, depth * groups, groups))


def parity_value(file: ParityFile) -> Dict[str, Any]:
    """Return it as values for JSON."""
    return {**file._asdict(), "blocks": list(file.blocks)}


def parse_parity(items: Sequence[Any], groups: int, sizes: Sequence[int]) -> Parity:
    """Return the parity files of an index whose packs have these sizes in bytes.

    Raises ValueError, TypeError, KeyError or AttributeError for what is not valid.
    """
    require(1 <= groups <= len(sizes), f"{groups} groups of {len(sizes)} packs")
    files = tuple(_file(item) for item in items)
    require(
        files and len(files) % groups == 0,
        f"{len(files)} parity files for {groups} groups",
    )
    names = {file.name for file in files}
    require(len(names) == len(files), "a parity file appears twice")
    parity = Parity(groups, files)
    members = -(-len(sizes) // groups) + parity.depth
    require(members <= MAX_ROWS, f"a parity group with {members} members")
    for number in range(groups):
        group = parity.group(number, len(sizes))
        longest = max(sizes[pack] for pack in group.packs)
        for file in (files[n] for n in group.files):
            require(
                file.size == longest,
                f"{file.name} is not as long as the longest pack of its group",
            )
    return parity


def _file(item: Dict[str, Any]) -> ParityFile:
    require(set(item) == {"name", "size", "blocks"}, "parity file with other fields")
    name, size, blocks = item["name"], item["size"], item["blocks"]
    require(
        type(name) is str and is_outer_name(name) and name.endswith(SUFFIX),
        f"{name!r:.110} is not the name of a parity file",
    )
    require(type(size) is int and size > 0, f"{name} has {size!r} bytes")
    require(type(blocks) is list, f"the blocks of {name} are not a list")
    digests = tuple(Digest(block) for block in blocks)
    require(len(digests) == -(-size // BLOCK), f"{name} has {len(digests)} blocks")
    return ParityFile(name, size, digests)
