"""Plain bytes of a chunk to its stored bytes: which codec, and the bytes.

A small sample of the chunk decides, so that what does not shrink costs almost
nothing. Same bytes in, same bytes out, for one version of zstd. How the stored bytes
are laid out is said in `sealift_manifests.codecs`; cutting files is `chunking`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import zstandard
from sealift_manifests.codecs import (
    PLANE_HEADER,
    PLANE_RAW,
    PLANE_ZSTD,
    RAW,
    SHUFFLE_ZSTD,
    WIDTHS,
    ZSTD,
)
from sealift_manifests.digests import Buffer
from sealift_manifests.parallel import Scratch

# Nothing here multiplies matrices; threads for that would be started on import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    _numpy: Any = import_module("numpy")
except ImportError:
    _numpy = None

# What shrinks by less than 3 % is not worth a decoder's time on every install.
_WORTH_IT = 0.97
_SEGMENTS = 8
_SEGMENT = 16 << 10
# Elements split at once: the intermediate values stay in the processor's cache.
_SLICE = 1 << 16
_local = threading.local()
_scratch = Scratch()


@dataclass(frozen=True)
class Encoded:
    """A chunk as it is stored; `width` is 1 unless the codec is shuffle-zstd.

    With `raw`, `stored` is the very buffer that was to be encoded, not a copy.
    """

    codec: str
    width: int
    stored: Buffer


def encode(data: Buffer, width: int, into: memoryview | None = None) -> Encoded:
    """Return `data`, elements of `width` bytes, in the form that suits it best.

    Only widths 2 and 4 make a difference; any other is taken as plain bytes. `into` is
    as long as `data`, and may become the memory of what is stored. Safe to call from
    several threads, which it leaves the interpreter lock to.
    """
    view = memoryview(data).cast("B")
    elements = width if width in WIDTHS else 1
    encoded = _shrink(view, elements, into) if len(view) else None
    if encoded and len(encoded.stored) <= len(view) * _WORTH_IT:
        return encoded
    return Encoded(RAW, 1, data)


def _shrink(view: memoryview, width: int, into: memoryview | None) -> Encoded | None:
    """Compress with what does best on a sample; None if nothing does well."""
    sample = _sample(view, width)
    by_level = len(_by_level().compress(sample))
    worthy, by_planes = _worthy_planes(sample, width)
    if min(by_level, by_planes) > len(sample) * _WORTH_IT:
        return None
    # Coding by entropy alone is several times faster: matches win only by a margin.
    if by_level < by_planes * _WORTH_IT:
        return Encoded(ZSTD, 1, _by_level().compress(view))
    if width == 1:
        return Encoded(ZSTD, 1, _by_entropy().compress(view))
    if into is None:
        shuffled = _shuffled(view, width, worthy, memoryview(bytearray(len(view))))
        return Encoded(SHUFFLE_ZSTD, width, bytes(shuffled)) if shuffled else None
    shuffled = _shuffled(view, width, worthy, into)
    return Encoded(SHUFFLE_ZSTD, width, shuffled) if shuffled else None


def _sample(view: memoryview, width: int) -> bytes:
    """Take evenly spaced segments, from the first element to the last."""
    if len(view) <= _SEGMENTS * _SEGMENT:
        return bytes(view)
    last = len(view) - _SEGMENT
    starts = (last * n // (_SEGMENTS - 1) // width * width for n in range(_SEGMENTS))
    return b"".join(view[start : start + _SEGMENT] for start in starts)


def _worthy_planes(sample: bytes, width: int) -> tuple[list[bool], int]:
    """Say which byte planes shrink, and to what size the sample comes with these."""
    worthy = []
    total = 0
    for position in range(width):
        plane = sample[position::width]
        shrunk = len(_by_entropy().compress(plane))
        worthy.append(shrunk <= len(plane) * _WORTH_IT)
        total += shrunk if worthy[-1] else len(plane)
    return worthy, total


def _shuffled(
    view: memoryview, width: int, worthy: Sequence[bool], into: memoryview
) -> memoryview | None:
    """Fill the start of `into` with the planes, and return it; None if it is too short.

    Planes before the first that is compressed are split to where they stay.
    """
    length, tail = divmod(len(view), width)
    first = worthy.index(True)
    at = PLANE_HEADER.size * width
    rooms = [*_rooms(into[at:], length, first)]
    others = width - first
    rooms += _rooms(_scratch.take(length * others), length, others)
    (_split_with_numpy if _numpy else _split)(view[: length * width], rooms)
    header = PLANE_HEADER.pack(PLANE_RAW, length) * first
    at += length * first
    for plane, compress in zip(rooms[first:], worthy[first:], strict=True):
        part = _by_entropy().compress(plane) if compress else plane
        header += PLANE_HEADER.pack(PLANE_ZSTD if compress else PLANE_RAW, len(part))
        if at + len(part) + tail > len(into):
            return None
        into[at : at + len(part)] = part
        at += len(part)
    into[: len(header)] = header
    into[at : at + tail] = view[length * width :]
    return into[: at + tail]


def _rooms(memory: memoryview, length: int, count: int) -> list[memoryview]:
    return [memory[length * n : length * (n + 1)] for n in range(count)]


def _split(view: memoryview, rooms: Sequence[memoryview]) -> None:
    """Put the bytes of each place in an element into the room of that place."""
    width = len(rooms)
    for start in range(0, len(rooms[0]), _SLICE):
        # The strided copy of a bytearray is twice as fast as that of bytes.
        piece = bytearray(view[start * width : (start + _SLICE) * width])
        for position, room in enumerate(rooms):
            room[start : start + _SLICE] = piece[position::width]


def _split_with_numpy(view: memoryview, rooms: Sequence[memoryview]) -> None:
    """Do what `_split` does, several times faster and without the interpreter lock."""
    elements = _numpy.frombuffer(view, f"<u{len(rooms)}")
    planes = [_numpy.frombuffer(room, "u1") for room in rooms]
    for start in range(0, len(elements), _SLICE):
        piece = elements[start : start + _SLICE]
        for position, plane in enumerate(planes):
            shifted = piece >> 8 * position if position else piece
            target = plane[start : start + _SLICE]
            _numpy.copyto(target, shifted, casting="unsafe")


def _by_level() -> zstandard.ZstdCompressor:
    """Return this thread's compressor for bytes that repeat: text, programs."""
    if not hasattr(_local, "by_level"):
        _local.by_level = zstandard.ZstdCompressor(level=3)
    compressor: zstandard.ZstdCompressor = _local.by_level
    return compressor


def _by_entropy() -> zstandard.ZstdCompressor:
    """Return this thread's compressor for bytes that are only unevenly distributed.

    Weights have no matches to find, so zstd is told to hardly look for any. Its
    strategy `fast` codes literals only with a target length of 0.
    """
    if not hasattr(_local, "by_entropy"):
        parameters = zstandard.ZstdCompressionParameters(
            strategy=zstandard.STRATEGY_FAST,
            min_match=7,
            hash_log=6,
            target_length=0,
            write_content_size=True,
            write_checksum=False,
        )
        _local.by_entropy = zstandard.ZstdCompressor(compression_params=parameters)
    compressor: zstandard.ZstdCompressor = _local.by_entropy
    return compressor
