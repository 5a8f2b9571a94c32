"""A Reed-Solomon code over bytes: parity rows, and what is lost rebuilt from them.

Arithmetic is that of GF(2^8) with the polynomial 0x11D. The coefficients are a Cauchy
matrix whose columns are scaled so that its first row is all ones: parity row 0 is the
plain XOR of the data. Each square part of such a matrix can be inverted, so any rows
that are lost come back from as many parity rows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, List, Sequence, Tuple

from sealift_manifests.digests import Buffer

MAX_ROWS = 255
"""The most data and parity rows together."""

_POLYNOMIAL = 0x11D
_PIECE = 64 << 10
"""Bytes that are summed at a time, so that they stay in the processor's cache."""


def _tables() -> Tuple[List[int], List[int]]:
    powers, logs, value = [0] * 510, [0] * 256, 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logs[value] = exponent
        value <<= 1
        if value > 255:
            value ^= _POLYNOMIAL
    return powers, logs


_POWERS, _LOGS = _tables()


def multiply(a: int, b: int) -> int:
    """Return the product of two elements."""
    return _POWERS[_LOGS[a] + _LOGS[b]] if a and b else 0


def divide(a: int, b: int) -> int:
    """Return the quotient of two elements; `b` is not 0."""
    return _POWERS[_LOGS[a] + 255 - _LOGS[b]] if a else 0


def coefficient(parity: int, data: int) -> int:
    """Return what data row `data` is multiplied by in parity row `parity`.

    Both count from 0; they and the numbers of rows add up to at most `MAX_ROWS`.
    """
    return divide(255 ^ data, (255 - parity) ^ data)


@lru_cache(maxsize=256)
def weights(
    wanted: int, lost: Tuple[int, ...], parity: Tuple[int, ...], count: int
) -> Tuple[Dict[int, int], Dict[int, int]]:
    """Return what to multiply rows by so that their sum is the data row `wanted`.

    `lost` are the data rows that are not there, `wanted` among them; `parity` as many
    parity rows that are. The result is for parity rows, and for the data rows of
    `count` that are not lost.
    """
    of_parity = dict(zip(parity, _solve(lost.index(wanted), lost, parity)))
    of_data = {}
    for data in range(count):
        if data not in lost:
            total = 0
            for row, weight in of_parity.items():
                total ^= multiply(weight, coefficient(row, data))
            of_data[data] = total
    return of_parity, of_data


def _solve(unit: int, lost: Sequence[int], parity: Sequence[int]) -> List[int]:
    """Return weights of parity rows whose sum has, of the lost rows, one only."""
    rows = [
        [coefficient(row, data) for row in parity] + [int(number == unit)]
        for number, data in enumerate(lost)
    ]
    for column in range(len(rows)):
        pivot = next(n for n in range(column, len(rows)) if rows[n][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [divide(value, scale) for value in rows[column]]
        for number, row in enumerate(rows):
            if number != column and row[column]:
                factor = row[column]
                rows[number] = [
                    value ^ multiply(factor, other)
                    for value, other in zip(row, rows[column])
                ]
    return [row[-1] for row in rows]


@lru_cache(maxsize=None)
def products(weight: int) -> bytes:
    """Return the table that multiplies each byte by `weight`."""
    return bytes(multiply(weight, value) for value in range(256))


class Sum:
    """A weighted sum of rows, `size` bytes long; shorter rows end in zeros."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pieces = [0] * -(-size // _PIECE)

    def add(self, weight: int, data: Buffer, offset: int = 0) -> None:
        """Add a part of a row that begins at `offset`, a multiple of 64 KiB."""
        if not weight:
            return
        view = memoryview(data)
        number = offset // _PIECE
        for start in range(0, len(view), _PIECE):
            piece: Buffer = view[start : start + _PIECE]
            if weight != 1:
                piece = bytes(piece).translate(products(weight))
            self._pieces[number] ^= int.from_bytes(piece, "little")
            number += 1

    def write_into(self, target: memoryview) -> None:
        """Put the sum into `target`, which is as long."""
        for number, value in enumerate(self._pieces):
            start = number * _PIECE
            size = min(_PIECE, self._size - start)
            target[start : start + size] = value.to_bytes(size, "little")
