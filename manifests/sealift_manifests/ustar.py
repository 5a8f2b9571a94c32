"""The plain ustar form of tar: headers out, headers in.

Regular files only, nothing extracted. Used for a bundle in one file and for the
image archives streamed to an engine.
"""

from __future__ import annotations

from typing import Callable, Iterator, Optional, Tuple

ReadAt = Callable[[int, int], bytes]

BLOCK = 512
END = bytes(2 * BLOCK)
"""The two zero blocks that end an archive."""

_OCTAL_LIMIT = 8**11
_CHECKSUM = slice(148, 156)


def header(name: str, size: int, mtime: int = 0) -> bytes:
    """Return the header block of a regular file of `size` bytes, mode 0644.

    `name` is ASCII; one of more than 100 characters is split at its last slash, into
    at most 155 and 100. `mtime` is in seconds since 1970. Sizes from 8 GiB up are
    written in base 256, as GNU tar does.
    """
    folder, _, base = name.rpartition("/") if len(name) > 100 else ("", "", name)
    if len(folder) > 155 or len(base) > 100:
        raise ValueError(f"{name!r} is too long for ustar")
    block = bytearray(BLOCK)
    block[0 : len(base)] = base.encode("ascii")
    block[345 : 345 + len(folder)] = folder.encode("ascii")
    block[100:124] = b"0000644\x000000000\x000000000\x00"
    block[124:136] = _size_field(size)
    block[136:148] = b"%011o\x00" % mtime
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[_CHECKSUM] = b"%06o\x00 " % _checksum(block)
    return bytes(block)


def padding(size: int) -> bytes:
    """Return the zeros that fill a file of `size` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def parse_header(block: bytes) -> Optional[Tuple[str, int]]:
    """Return name and size from a header block, or None for a block of zeros.

    Raises ValueError for anything but a regular file in ustar form.
    """
    if block == bytes(BLOCK):
        return None
    if len(block) != BLOCK or block[257:263] != b"ustar\x00":
        raise ValueError("not a ustar header")
    if _octal(block[_CHECKSUM]) != _checksum(bytearray(block)):
        raise ValueError("a header with a wrong checksum")
    if block[156:157] not in (b"0", b"\x00"):
        raise ValueError("a member that is not a plain regular file")
    size_field = block[124:136]
    if size_field[0] == 0x80:
        size = int.from_bytes(size_field[1:], "big")
    else:
        size = _octal(size_field)
    folder, name = _text(block[345:500]), _text(block[:100])
    return (f"{folder}/{name}" if folder else name), size


def members(read_at: ReadAt, total: int) -> Iterator[Tuple[str, int, int]]:
    """Yield name, offset of the data and size for each member of an archive.

    `read_at(offset, size)` returns bytes of the archive, whose size is `total`.
    Raises ValueError for a damaged archive, or one that is cut short.
    """
    offset = 0
    while True:
        found = parse_header(read_at(offset, BLOCK))
        if found is None:
            return
        name, size = found
        data = offset + BLOCK
        offset = data + size + len(padding(size))
        if offset + BLOCK > total:
            raise ValueError(f"the archive ends inside or right after {name}")
        yield name, data, size


def _octal(field: bytes) -> int:
    # int() alone would take signs and underscores: a negative size walks backwards.
    digits = field.rstrip(b" \x00")
    if not digits or digits.strip(b"01234567"):
        raise ValueError("a number in a header that is not octal")
    return int(digits, 8)


def _text(field: bytes) -> str:
    text = field.rstrip(b"\x00")
    if b"\x00" in text:
        raise ValueError("a name with a NUL in it")
    return text.decode("ascii")


def _size_field(size: int) -> bytes:
    if size < _OCTAL_LIMIT:
        return b"%011o\x00" % size
    return b"\x80" + size.to_bytes(11, "big")


def _checksum(block: bytearray) -> int:
    return sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
