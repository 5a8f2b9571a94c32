"""The byte layout that OpenSSH keys, signatures and agents share (RFC 4251).

Reads and writes `uint32`, `string` and non-negative `mpint`, each in its one canonical
form. Knows nothing of keys.
"""

from __future__ import annotations


def put_u32(value: int) -> bytes:
    """Return four bytes, most significant first."""
    return value.to_bytes(4, "big")


def put_string(data: bytes) -> bytes:
    """Return the bytes with their length before them."""
    return put_u32(len(data)) + data


def put_mpint(value: int) -> bytes:
    """Return a non-negative integer in as few bytes as keep its sign bit clear."""
    return put_string(
        value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b""
    )


class WireReader:
    """Takes fields off the front of some bytes; ValueError when they do not fit."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise ValueError("the data ends too early")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def u32(self) -> int:
        """Return the next four bytes as a number."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """Return the next length-prefixed bytes."""
        return self.take(self.u32())

    def mpint(self) -> int:
        """Return the next integer; negative or padded ones are refused."""
        digits = self.string()
        value = int.from_bytes(digits, "big")
        if put_mpint(value) != put_string(digits):
            raise ValueError("an integer is negative or padded")
        return value

    def end(self) -> None:
        """Expect that nothing is left."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes trail the data")
