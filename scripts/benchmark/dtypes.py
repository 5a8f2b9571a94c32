"""How the numbers of a model are stored: floats, and quantised with their scales. Pure.

Quantised weights are what serving stacks make of floats: the largest of a row, or of
128 neighbours, takes the largest code, so codes are spread like weights again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_GROUP = 128
_FP8_LARGEST = 448


@dataclass(frozen=True)
class Matrix:
    """A matrix of the model that is made."""

    name: str
    rows: int
    columns: int


@dataclass(frozen=True)
class Part:
    """A tensor of a safetensors file: `code` is its type there, `size` in bytes."""

    name: str
    code: str
    rows: int
    columns: int
    size: int


@dataclass(frozen=True)
class Form:
    """A way to store matrices; `bytes_each` is what an element takes.

    `parts` says which tensors a matrix becomes, `stored` gives their bytes in order.
    `plain`: made of one Gaussian, without any scales.
    """

    bytes_each: float
    parts: Callable[[Matrix], list[Part]]
    stored: Callable[[Iterable[Floats]], Iterator[bytes]]
    plain: bool = False


def _simple(code: str, width: int, to_bytes: Callable[[Floats], bytes]) -> Form:
    def parts(m: Matrix) -> list[Part]:
        return [Part(m.name, code, m.rows, m.columns, m.rows * m.columns * width)]

    return Form(width, parts, lambda blocks: map(to_bytes, blocks))


def _scaled(
    code: str,
    per_code: int,
    scales: tuple[str, int, int],
    quantise: Callable[[Floats], tuple[bytes, bytes]],
) -> Form:
    """Return a form of codes followed by scales.

    A byte or, when it has several, a word of type `code` holds `per_code` neighbours of
    a row. `scales` are their type, its width, and how many neighbours share one; 0: all
    of a row.
    """
    kind, width, group = scales
    word = 4 if per_code > 1 else 1

    def parts(m: Matrix) -> list[Part]:
        columns = m.columns // per_code
        scales_each = m.columns // group if group else 1
        name = m.name.removesuffix(".weight")
        return [
            Part(m.name, code, m.rows, columns, m.rows * columns * word),
            Part(
                *(f"{name}.weight_scale", kind, m.rows, scales_each),
                m.rows * scales_each * width,
            ),
        ]

    def stored(blocks: Iterable[Floats]) -> Iterator[bytes]:
        kept = []
        for block in blocks:
            codes, scale = quantise(block)
            kept.append(scale)
            yield codes
        yield from kept

    return Form(word / per_code, parts, stored)


def _bf16(block: Floats) -> bytes:
    return (block.view(np.uint32) >> 16).astype("<u2").tobytes()


def _int8(block: Floats) -> tuple[bytes, bytes]:
    scale = np.abs(block).max(axis=1, keepdims=True) / 127
    return np.rint(block / scale).astype("i1").tobytes(), scale.astype("<f4").tobytes()


def _fp8(block: Floats) -> tuple[bytes, bytes]:
    """Round to e4m3 by way of fp16, whose exponent is 8 more."""
    scale = np.abs(block).max(axis=1, keepdims=True) / _FP8_LARGEST
    half = (block / scale / 256).astype("<f2").view("<u2").astype(np.uint32)
    size = half & 0x7FFF
    rounded = (size + 0x3F + (size >> 7 & 1)) >> 7
    codes = (half >> 8 & 0x80) | np.minimum(rounded, 0x7E)
    return codes.astype("u1").tobytes(), scale.astype("<f4").tobytes()


def _int4(block: Floats) -> tuple[bytes, bytes]:
    """Put eight neighbours of a row into a word."""
    rows, columns = block.shape
    groups = block.reshape(rows, columns // _GROUP, _GROUP)
    scale = np.abs(groups).max(axis=2, keepdims=True) / 7
    codes = (np.rint(groups / scale) + 8).astype(np.uint32)
    eights = codes.reshape(rows, columns // 8, 8)
    words = eights[..., 0]
    for number in range(1, 8):
        words = words | eights[..., number] << np.uint32(4 * number)
    return words.astype("<u4").tobytes(), scale.astype("<f2").tobytes()


_BF16 = _simple("BF16", 2, _bf16)
FORMS = {
    "bf16": _BF16,
    "bf16-gauss": Form(_BF16.bytes_each, _BF16.parts, _BF16.stored, plain=True),
    "fp16": _simple("F16", 2, lambda block: block.astype("<f2").tobytes()),
    "fp32": _simple("F32", 4, lambda block: block.astype("<f4").tobytes()),
    "fp8": _scaled("F8_E4M3", 1, ("F32", 4, 0), _fp8),
    "int8": _scaled("I8", 1, ("F32", 4, 0), _int8),
    "int4": _scaled("I32", 8, ("F16", 2, _GROUP), _int4),
}
"""How weights are stored, by what people call it."""
