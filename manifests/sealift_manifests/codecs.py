"""Stored bytes of a chunk to its plain bytes: raw, zstd and shuffle-zstd.

Strict on every length, for the stored bytes come from a medium that others wrote.
Neither hashing nor the choice of a codec is here.

The stored bytes of `shuffle-zstd`, for `size` plain bytes that are elements of
`width` bytes (2 or 4). All numbers are little-endian. A plane holds byte p of every
whole element, so it is `size // width` bytes long.

    5 bytes per plane, planes 0 to width - 1:
        1 byte    how the plane is stored: 0 raw, 1 as one zstd frame
        4 bytes   length of what is stored of it
    then what is stored of plane 0, of plane 1, ... without gaps
    then the last `size % width` plain bytes as they are
"""

from __future__ import annotations

import struct
from typing import List, Optional, Sequence

from sealift_manifests.digests import Buffer
from sealift_manifests.errors import ManifestError
from sealift_manifests.parallel import Memory, Scratch
from sealift_manifests.zstd import decompress, invalid

RAW = "raw"
ZSTD = "zstd"
SHUFFLE_ZSTD = "shuffle-zstd"
CODECS = (RAW, ZSTD, SHUFFLE_ZSTD)

WIDTHS = (2, 4)
"""Element widths of shuffle-zstd; the other codecs know no elements."""

PLANE_RAW = 0
PLANE_ZSTD = 1
PLANE_HEADER = struct.Struct("<BI")

# Elements merged at once. It fits in a processor's cache with room to spare, and lets
# another thread have the interpreter lock after some 0.1 ms.
_SLICE = 1 << 16
_SPREADING = {2: "utf-16-le", 4: "utf-32-le"}
_planes = Scratch()


def decode(
    codec: str,
    stored: Buffer,
    size: int,
    width: int,
    *,
    into: Optional[Memory] = None,
) -> memoryview:
    """Return the `size` plain bytes that `stored` stands for, or raise ManifestError.

    `width` matters to shuffle-zstd only. With `raw`, the view is of `stored` itself;
    otherwise it is of the start of `into`, if that is given.
    """
    if codec == RAW:
        if len(stored) != size:
            raise invalid(f"it has {len(stored)} raw bytes, not {size}")
        return memoryview(stored)
    if codec == ZSTD:
        target: Memory = bytearray(size) if into is None else into
        return decompress(stored, size, memoryview(target)[:size])
    if codec == SHUFFLE_ZSTD:
        if width not in WIDTHS:
            raise invalid(f"its elements are {width} bytes wide, not 2 or 4")
        target = bytearray(size) if into is None else into
        _unshuffle(memoryview(stored), size, width, target)
        return memoryview(target)[:size]
    raise ManifestError(
        f"a chunk is stored with the unknown codec {codec[:40]!r}",
        hint="Use an installer of the version that wrote the bundle.",
    )


def _unshuffle(stored: memoryview, size: int, width: int, target: Memory) -> None:
    length, tail = divmod(size, width)
    at = PLANE_HEADER.size * width
    if len(stored) < at:
        raise invalid("it ends within the table of its planes")
    scratch = _planes.take(size - tail)
    planes: List[memoryview] = []
    for number, (kind, part) in enumerate(PLANE_HEADER.iter_unpack(stored[:at])):
        room = scratch[number * length : (number + 1) * length]
        planes.append(_plane(kind, stored[at : at + part], room))
        at += part
    if len(stored) != at + tail:
        raise invalid(f"it has {len(stored)} stored bytes, not {at + tail}")
    _merge(planes, target)
    target[size - tail : size] = stored[at:]


def _plane(kind: int, stored: memoryview, room: memoryview) -> memoryview:
    """Return a plane: unpacked into `room`, or where it lies."""
    if kind == PLANE_ZSTD:
        return decompress(stored, len(room), room)
    if kind != PLANE_RAW:
        raise invalid(f"it has a plane of the unknown kind {kind}")
    if len(stored) != len(room):
        raise invalid(f"it has a raw plane of {len(stored)} bytes, not {len(room)}")
    return stored


def _merge(planes: Sequence[memoryview], target: Memory) -> None:
    """Interleave the planes at the start of `target`, a slice at a time.

    Spreading plane 0 with a codec of the interpreter, which is vectorised, saves
    one of the strided assignments, which go byte by byte.
    """
    width, length = len(planes), len(planes[0])
    encoding = _SPREADING[width]
    for start in range(0, length, _SLICE):
        end = min(start + _SLICE, length)
        spread = str(planes[0][start:end], "latin-1").encode(encoding)
        target[start * width : end * width] = spread
        for position in range(1, width):
            part = planes[position][start:end]
            target[start * width + position : end * width : width] = part
