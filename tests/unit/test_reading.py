"""The memory of pieces is used again, but only when nobody reads it any more."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from making import noise
from sealift_bundler import pack
from sealift_bundler.buffers import Buffers
from sealift_bundler.chunking import Piece
from sealift_bundler.pack import Packer
from sealift_bundler.reading import read_pieces
from sealift_bundler.target import DirectoryTarget
from sealift_manifests.digests import digest_of
from sealift_manifests.index import MAX_CHUNK

SIZE = 64 << 10
COUNT = 60
DATA = noise("pieces", SIZE * COUNT)
PIECES = [Piece(SIZE * number, SIZE, 1) for number in range(COUNT)]


class SlowObserver:
    """Falls behind everything else."""

    def __init__(self) -> None:
        self.seen = hashlib.sha256()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        time.sleep(0.01)
        self.seen.update(data)


class CountingBuffers(Buffers):
    """Knows which memory it ever lent."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[int] = set()

    def take(self, size: int, skew: int = 0) -> memoryview:
        view = super().take(size, skew)
        self.places.add(id(view.obj))
        return view


@pytest.fixture
def source(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(DATA)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("slow", ["observer", "hash of the pack"])
def test_memory_is_used_again_only_when_everybody_is_done_with_it(
    source, tmp_path, slow, monkeypatch
):
    # With one worker least lies between the last use of memory and the next.
    monkeypatch.setattr(pack, "core_count", lambda: 1)
    observer = SlowObserver()
    with Packer(DirectoryTarget(tmp_path / "out")) as packer:
        packer.buffers = CountingBuffers()
        if slow != "observer":
            monkeypatch.setattr(packer._packs, "_state", SlowHash())
        observers = [observer] if slow == "observer" else []
        pieces = read_pieces(source, PIECES, packer.buffers)
        packed = packer.add(pieces, observers)
        index = packer.finish()
        lent, digests = len(packer.buffers.places), packer.pack_digests

    stored = (tmp_path / ".out.partial/data-0001.pack").read_bytes()
    assert stored == DATA
    assert digests == {"data-0001.pack": digest_of(DATA)}
    assert packed.digest == digest_of(DATA)
    assert [chunk.digest for chunk in index.chunks] == [
        digest_of(DATA[piece.offset : piece.end]) for piece in PIECES
    ]
    assert lent < COUNT / 2
    if observers:
        assert observer.seen.digest() == hashlib.sha256(DATA).digest()


class SlowHash:
    """SHA-256 that falls behind everything else."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        time.sleep(0.002)
        self._state.update(data)

    def hexdigest(self) -> str:
        return self._state.hexdigest()


def test_memory_from_elsewhere_is_not_kept():
    buffers = Buffers()

    buffers.give_back(memoryview(bytearray(b"mine")))

    assert len(buffers.take(MAX_CHUNK)) == MAX_CHUNK
