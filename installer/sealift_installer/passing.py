"""What passes on its way to an engine: in which order, and measured."""

from __future__ import annotations

import hashlib
from typing import Callable, Iterable, Iterator, List, TypeVar

from sealift_manifests.digests import Buffer, Digest, from_hex
from sealift_manifests.errors import DigestMismatchError

T = TypeVar("T")


def by_rank(items: Iterable[T], rank: Callable[[T], int]) -> Iterator[T]:
    """Yield items, always one of the lowest rank next, otherwise in their order.

    Ranks are asked again and again: they change when another medium is put in.
    """
    left = list(items)
    while left:
        lowest = min(map(rank, left))
        later: List[T] = []
        for item in left:
            if rank(item) <= lowest:
                yield item
            else:
                later.append(item)
        left = later


def measured(
    what: str, digest: Digest, size: int, pieces: Iterator[Buffer]
) -> Iterator[Buffer]:
    """Yield pieces of `what`, of `size` bytes, and never more than that.

    Raises DigestMismatchError at the end if they are others than `digest` says: before
    whoever takes them has all of an archive.
    """
    measure, left = hashlib.sha256(), size
    for piece in pieces:
        measure.update(piece)
        left -= len(piece)
        if left < 0:
            break
        yield piece
    found = from_hex(measure.hexdigest())
    if left or found != digest:
        raise DigestMismatchError(
            f"{what} is not what was signed (expected {digest.short} with {size} "
            f"bytes, found {found.short} with {'more' if left < 0 else size - left})",
            hint="Run `verify` on the bundle, and copy the part it names again.",
        )
