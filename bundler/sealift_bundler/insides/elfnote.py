"""The note of a forward-compatibility libcuda: which drivers and GPUs it takes.

Reads just enough of a 64-bit little-endian ELF file. What is not as it should be
gives None: a library without a note is a usual thing.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SECTION = b".note.cuda.fwd_compatibility"
_OWNER = b"NVIDIA Corporation\0"
_LARGEST = 1 << 16
_MOST_SECTIONS = 4096


@dataclass(frozen=True)
class CompatNote:
    """What the note says: driver branches, brands (NVML numbers), CUDA version."""

    drivers: tuple[int, ...] | None = None
    brands: tuple[int, ...] | None = None
    cuda: str | None = None


def read_compat_note(file: BinaryIO) -> CompatNote | None:
    """Return the note of a library, None where there is none that can be read."""
    try:
        for name, data in _sections(file):
            if name == SECTION:
                return _note(data)
    except (struct.error, ValueError, OSError, OverflowError, RecursionError):
        return None
    return None


def _sections(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names of the sections, with the content of the one looked for."""
    head = _read(file, 0, 64)
    if head[:6] != b"\x7fELF\x02\x01":
        return
    (table,) = struct.unpack_from("<Q", head, 40)
    entry_size, count, names_at = struct.unpack_from("<HHH", head, 58)
    if entry_size != 64 or not names_at < count <= _MOST_SECTIONS:
        return
    rows = _read(file, table, entry_size * count)
    places = [struct.unpack_from("<I20xQQ", rows, i * entry_size) for i in range(count)]
    _, offset, size = places[names_at]
    names = _read(file, offset, min(size, 1 << 20))
    for at, offset, size in places:
        name = names[at:].partition(b"\0")[0]
        wanted = name == SECTION and size <= _LARGEST
        yield name, _read(file, offset, size) if wanted else b""


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file ends too early")
    return data


def _note(data: bytes) -> CompatNote | None:
    name_size, text_size, _kind = struct.unpack_from("<III", data)
    if data[12 : 12 + name_size] != _OWNER:
        return None
    # How the name is padded depends on the section's alignment; the text is JSON.
    start = data.find(b"{", 12 + name_size, 12 + name_size + 16)
    if start < 0:
        return None
    value = json.loads(data[start : start + text_size].rstrip(b"\0"))
    if not isinstance(value, dict) or value.get("format") != 1:
        return None
    cuda = value.get("CUDA version")
    return CompatNote(
        drivers=_numbers(value.get("driver")),
        brands=_numbers(value.get("device")),
        cuda=cuda if isinstance(cuda, str) and len(cuda) < 20 else None,
    )


def _numbers(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list) or not all(
        type(each) is int and 0 <= each < 1 << 16 for each in value
    ):
        return None
    return tuple(value)
