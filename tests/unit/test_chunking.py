"""Where files are cut into chunks."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from sealift_bundler.chunking import (
    CHUNK_SIZE,
    Piece,
    cut_plain,
    cut_tensors,
    width_of,
)
from sealift_manifests.errors import SourceContentError

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True)
class ATensor:
    """What chunking asks of a tensor."""

    dtype: str
    start: int
    end: int


def laid_out(*sizes: int, dtype: str = "BF16") -> list[ATensor]:
    """Return tensors of these sizes, one behind the other."""
    tensors = []
    at = 0
    for size in sizes:
        tensors.append(ATensor(dtype, at, at + size))
        at += size
    return tensors


def cut(tensors: list[ATensor], header: int = 100) -> list[Piece]:
    """Cut a file with a header of 100 bytes and these tensors."""
    return list(cut_tensors(header, tensors, header + tensors[-1].end))


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (0, []),
        (1, [1]),
        (CHUNK_SIZE, [CHUNK_SIZE]),
        (CHUNK_SIZE + 1, [CHUNK_SIZE, 1]),
        (3 * CHUNK_SIZE - 1, [CHUNK_SIZE, CHUNK_SIZE, CHUNK_SIZE - 1]),
    ],
)
def test_a_file_of_which_nothing_is_known_is_cut_at_fixed_size(size, sizes):
    pieces = list(cut_plain(size))

    assert [piece.size for piece in pieces] == sizes
    assert [piece.offset for piece in pieces] == [
        n * CHUNK_SIZE for n in range(len(sizes))
    ]
    assert {piece.width for piece in pieces} <= {1}


def test_the_header_is_a_piece_of_its_own():
    assert cut(laid_out(MIB)) == [Piece(0, 100, 1), Piece(100, MIB, 2)]


def test_a_header_longer_than_a_chunk_is_cut_too():
    pieces = cut(laid_out(MIB), header=CHUNK_SIZE + 8)

    assert pieces == [
        Piece(0, CHUNK_SIZE, 1),
        Piece(CHUNK_SIZE, 8, 1),
        Piece(CHUNK_SIZE + 8, MIB, 2),
    ]


def test_a_large_tensor_is_cut_from_its_own_start():
    pieces = cut(laid_out(MIB, 20 * MIB, MIB))

    assert [(p.offset - 100, p.size) for p in pieces[1:]] == [
        (0, MIB),
        (MIB, 8 * MIB),
        (9 * MIB, 8 * MIB),
        (17 * MIB, 4 * MIB),
        (21 * MIB, MIB),
    ]


def test_a_tensor_is_cut_the_same_wherever_it_lies():
    alone = cut(laid_out(20 * MIB))[1:]

    behind_others = cut(laid_out(3 * MIB, 5 * KIB, 20 * MIB, 300 * KIB))[3:-1]

    assert [p.size for p in behind_others] == [p.size for p in alone]


@pytest.mark.parametrize(
    ("size", "pieces"), [(256 * KIB - 1, 1), (256 * KIB, 2), (256 * KIB + 1, 2)]
)
def test_a_tensor_of_256_kib_starts_its_own_chunk(size, pieces):
    assert len(cut(laid_out(4 * KIB, size))) == 1 + pieces


def test_small_tensors_of_one_width_share_a_chunk():
    pieces = cut(laid_out(4 * KIB, 100 * KIB, 200 * KIB, MIB, KIB, KIB))

    assert [p.size for p in pieces[1:]] == [304 * KIB, MIB, 2 * KIB]


def test_small_tensors_of_different_widths_do_not_share():
    tensors = [
        ATensor("BF16", 0, 2 * KIB),
        ATensor("F16", 2 * KIB, 4 * KIB),
        ATensor("F32", 4 * KIB, 8 * KIB),
        ATensor("U8", 8 * KIB, 9 * KIB),
        ATensor("F8_E4M3", 9 * KIB, 10 * KIB),
    ]

    assert [(p.size, p.width) for p in cut(tensors)[1:]] == [
        (4 * KIB, 2),
        (4 * KIB, 4),
        (2 * KIB, 1),
    ]


def test_a_shared_chunk_does_not_grow_beyond_the_chunk_size():
    pieces = cut(laid_out(*[200 * KIB] * 50))

    assert [p.size for p in pieces[1:]] == [40 * 200 * KIB, 10 * 200 * KIB]


def test_tensors_without_elements_leave_no_piece():
    assert cut(laid_out(0, MIB, 0, 0)) == [Piece(0, 100, 1), Piece(100, MIB, 2)]


def test_a_tensor_without_elements_parts_nothing():
    tensors = [ATensor("F16", 0, 8), ATensor("F32", 8, 8), ATensor("F16", 8, 16)]

    assert cut(tensors)[1:] == [Piece(100, 16, 2)]


def test_a_file_without_tensors_is_its_header():
    assert list(cut_tensors(10, [], 10)) == [Piece(0, 10, 1)]


@pytest.mark.parametrize(
    ("tensors", "file_size"),
    [
        ([ATensor("BF16", 0, 10), ATensor("BF16", 12, 20)], 118),
        ([ATensor("BF16", 0, 10), ATensor("BF16", 8, 20)], 122),
        ([ATensor("BF16", 2, 10)], 108),
        ([ATensor("BF16", 0, 10), ATensor("BF16", 10, 8)], 108),
        ([ATensor("BF16", 0, 10)], 111),
        ([ATensor("BF16", 0, 10)], 109),
    ],
    ids=["gap", "overlap", "late start", "backwards", "bytes behind", "file too short"],
)
def test_tensors_that_do_not_cover_the_file_are_refused(tensors, file_size):
    with pytest.raises(SourceContentError, match="does not describe the file"):
        list(cut_tensors(100, tensors, file_size))


@pytest.mark.parametrize(
    ("dtype", "width"),
    [
        *zip(("BF16", "F16", "I16", "U16"), (2,) * 4, strict=True),
        *zip(("F32", "I32", "C64", "I64", "F64"), (4,) * 5, strict=True),
        *zip(("I8", "U8", "F8_E5M2", "BOOL", "of tomorrow"), (1,) * 5, strict=True),
    ],
)
def test_the_width_of_an_element_comes_from_its_type(dtype, width):
    assert width_of(dtype) == width
