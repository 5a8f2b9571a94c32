"""Files are read straight from the disk where that can be, and as usual elsewhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from making import noise
from sealift_bundler import direct, page_cache, reading
from sealift_bundler.buffers import Buffers
from sealift_bundler.chunking import Piece
from sealift_bundler.direct import DirectFile
from sealift_bundler.reading import read_pieces
from sealift_manifests.index import MAX_CHUNK

DATA = noise("direct", MAX_CHUNK + 10_000)
STRETCHES = [
    (0, 1),
    (0, 4096),
    (1, 4095),
    (4095, 2),
    (5000, 70_000),
    (8192, len(DATA) - 8192),
    (len(DATA) - 3, 3),
    (4097, MAX_CHUNK),
    (100, 0),
]
PIECES = [Piece(10, 5000, 1), Piece(5010, 9000, 2), Piece(14010, 9, 1)]


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("usual", [False, True])
@pytest.mark.parametrize(("offset", "size"), STRETCHES)
def test_any_stretch_is_what_is_in_the_file(fd, offset, size, usual):
    buffers = Buffers()
    with closing(DirectFile(fd, usual=usual)) as file:
        view = file.read(buffers, offset, size)

        assert bytes(view) == DATA[offset : offset + size]
        assert file.is_direct == (not usual and can_be_direct(fd))


def can_be_direct(fd: int) -> bool:
    """Say whether the file system of the tests lets files be read so."""
    try:
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("usual", [False, True])
@pytest.mark.parametrize("offset", [len(DATA) - 9, len(DATA), len(DATA) + 50_000])
def test_a_file_that_ends_before_is_told_and_no_memory_is_lost(fd, offset, usual):
    buffers = Buffers()
    with closing(DirectFile(fd, usual=usual)) as file:
        with pytest.raises(EOFError):
            file.read(buffers, offset, 10)

        assert not buffers._lent


def test_a_disk_that_wants_other_blocks_is_read_as_usual(fd, monkeypatch):
    with closing(DirectFile(fd)) as file:
        file.is_direct = True
        asked = refuse(monkeypatch, errno.EINVAL, but=fd)

        read = [bytes(file.read(Buffers(), 5, 6)) for _ in range(3)]

    assert read == [DATA[5:11]] * 3
    assert asked == [file._direct] or len(asked) == 1


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *, but: int) -> list[int]:
    """Have reads of all but one open file fail; return which were tried."""
    asked = []
    preadv = os.preadv

    def read(fd: int, views: list[memoryview], offset: int) -> int:
        if fd == but:
            return preadv(fd, views, offset)
        asked.append(fd)
        raise OSError(number, "refused")

    monkeypatch.setattr(direct.os, "preadv", read)
    return asked


def test_a_disk_that_fails_is_not_asked_in_another_way(fd, monkeypatch):
    with closing(DirectFile(fd)) as file:
        file.is_direct = True
        refuse(monkeypatch, errno.EIO, but=fd)

        with pytest.raises(OSError, match="refused"):
            file.read(Buffers(), 5, 6)


def test_without_a_way_to_open_it_again_a_file_is_read_as_usual(fd, monkeypatch):
    def no_proc(path: str, flags: int) -> int:
        raise FileNotFoundError(errno.ENOENT, path)

    monkeypatch.setattr(direct.os, "open", no_proc)
    with closing(DirectFile(fd)) as file:
        assert not file.is_direct
        assert bytes(file.read(Buffers(), 5, 6)) == DATA[5:11]


@pytest.mark.parametrize(("cached", "straight"), [(0.0, True), (1.0, False)])
def test_what_lies_in_memory_is_not_read_from_the_disk(
    fd, monkeypatch, cached, straight
):
    opened = []

    class Noting(DirectFile):
        def __init__(self, fd: int, *, usual: bool = False) -> None:
            super().__init__(fd, usual=usual)
            opened.append(not usual)

    monkeypatch.setattr(reading, "DirectFile", Noting)
    monkeypatch.setattr(reading, "cached_share", lambda fd: cached)

    read = list(read_pieces(fd, PIECES, Buffers()))

    assert [(bytes(view), width) for view, width in read] == [
        (DATA[piece.offset : piece.end], piece.width) for piece in PIECES
    ]
    assert opened == [straight]


def test_where_nobody_tells_a_file_counts_as_in_memory(fd, monkeypatch):
    def refuse(*how, **more) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(page_cache.mmap, "mmap", refuse)

    assert page_cache.cached_share(fd) == 1.0


def test_a_file_that_was_just_written_is_in_memory(fd):
    assert page_cache.cached_share(fd) == 1.0


def test_a_file_of_one_piece_is_read_without_any_ado(fd, monkeypatch):
    monkeypatch.setattr(direct.os, "open", None)

    ((view, width),) = read_pieces(fd, PIECES[:1], Buffers())

    assert (bytes(view), width) == (DATA[10:5010], 1)
    assert list(read_pieces(fd, [], Buffers())) == []
