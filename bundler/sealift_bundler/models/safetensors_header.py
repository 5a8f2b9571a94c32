"""The header of a `.safetensors` file: read, and held against the file's size.

As strict as the reference parser or stricter (no key twice, at any depth). Only the
header is read. Offsets are those of the format: they count from the header's end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from sealift_manifests.errors import SourceContentError

MAX_HEADER = 100_000_000
"""The reference parser reads no longer header, in bytes, without its length."""

_MAX_COUNT = 2**64 - 1

BITS = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8"), 8),
    **dict.fromkeys(("F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Bits per element of every dtype that safetensors 0.8 accepts."""


@dataclass(frozen=True)
class Tensor:
    """One tensor: `start` and `end` are bytes from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def count(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class SafetensorsHeader:
    """A header that describes its file: tensors in file order, without gaps.

    `header_size` counts the 8 bytes of length as well: data begins there.
    """

    header_size: int
    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str]


class _LieError(ValueError):
    """What a header says that cannot be."""


def read_header(stream: BinaryIO, file_size: int, name: str) -> SafetensorsHeader:
    """Read the header from the start of `stream`, a file of `file_size` bytes.

    Raises SourceContentError, naming the file (`name`), for anything untrue in it.
    """
    try:
        raw = _raw_header(stream, file_size)
        entries = _parsed(raw)
        metadata = _metadata(entries.pop("__metadata__", None))
        tensors = [_tensor(key, value) for key, value in entries.items()]
        tensors.sort(key=lambda tensor: (tensor.start, tensor.end))
        _expect_cover(tensors, file_size - 8 - len(raw))
    except _LieError as lie:
        raise SourceContentError(
            f"the safetensors header of {name} is untrue: {lie}",
            hint="Fetch the file again. If it stays so, it was written wrong at its "
            "source: no loader should be given it.",
        ) from lie
    return SafetensorsHeader(8 + len(raw), tuple(tensors), metadata)


def _raw_header(stream: BinaryIO, file_size: int) -> bytes:
    length = int.from_bytes(_exactly(stream, 8), "little")
    if length > MAX_HEADER:
        raise _LieError(f"it claims {length} bytes, more than {MAX_HEADER}")
    if length > file_size - 8:
        raise _LieError(f"it claims {length} bytes, the file has {file_size}")
    return _exactly(stream, length)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            raise _LieError(f"the file ends after {len(data)} of {size} header bytes")
        data += piece
    return bytes(data)


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_natural,
            parse_float=_refused,
            parse_constant=_refused,
        )
    except _LieError:
        raise
    except (ValueError, RecursionError) as error:
        raise _LieError(f"it is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise _LieError("it is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _LieError(f"the key {_shown(key)} stands there twice")
        if not _is_text(key):
            raise _LieError(f"the key {_shown(key)} is not valid Unicode")
        result[key] = value
    return result


def _natural(text: str) -> int:
    # A minus sign is refused by sight: the reference takes "-0" for a float.
    if text.startswith("-") or len(text) > 20 or int(text) > _MAX_COUNT:
        return _refused(text)
    return int(text)


def _refused(text: str) -> NoReturn:
    raise _LieError(f"{text[:30]} is not a count of 64 bits")


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(map(_is_text, value.values())):
        raise _LieError("__metadata__ is not a map of text to text")
    return value


def _tensor(name: str, entry: Any) -> Tensor:
    where = f"tensor {_shown(name)}"
    if not isinstance(entry, dict):
        raise _LieError(f"{where} is not a JSON object")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _LieError(f"{where} has the unknown dtype {_shown(dtype)}")
    shape = _counts(entry.get("shape"), f"shape of {where}")
    offsets = _counts(entry.get("data_offsets"), f"data_offsets of {where}")
    if len(offsets) != 2:
        raise _LieError(f"the data_offsets of {where} are not two")
    start, end = offsets
    size = _size_in_bytes(where, dtype, shape)
    if end - start != size:
        raise _LieError(
            f"{where} is {dtype} {shape}, {size} bytes, and has bytes {start} to {end}"
        )
    return Tensor(name, dtype, tuple(shape), start, end)


def _size_in_bytes(where: str, dtype: str, shape: list[int]) -> int:
    count = 1
    for length in shape:
        count *= length
        if count > _MAX_COUNT:
            raise _LieError(f"{where} has a shape beyond 64 bits")
    bits = count * BITS[dtype]
    if bits > _MAX_COUNT:
        raise _LieError(f"{where} has a size beyond 64 bits")
    if bits % 8:
        raise _LieError(f"{where} does not end on a whole byte")
    return bits // 8


def _expect_cover(tensors: Iterable[Tensor], data_size: int) -> None:
    """Expect each tensor to begin where the one before it ends, and the last to
    end with the file."""
    at = 0
    for tensor in tensors:
        if tensor.start != at:
            kind = "overlap" if tensor.start < at else "leave a hole"
            raise _LieError(
                f"tensors {kind} at byte {min(at, tensor.start)}: "
                f"{_shown(tensor.name)} begins at {tensor.start}, not at {at}"
            )
        at = tensor.end
    if at != data_size:
        raise _LieError(f"the tensors end at byte {at}, the data at {data_size}")


def _counts(value: Any, what: str) -> list[int]:
    # bool is an int to Python, and `true` is no count.
    if not isinstance(value, list) or any(type(item) is not int for item in value):
        raise _LieError(f"the {what} is not a list of counts")
    return value


def _is_text(value: Any) -> bool:
    """Say whether `value` is a str that UTF-8 can hold: JSON allows half a pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    """Return foreign text short and harmless for a terminal."""
    return ascii(value)[:80]
