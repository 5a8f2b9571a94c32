"""The packer and the places it writes to: what lies where, once, and whole or not."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from making import noise
from mixed import text, weights
from sealift_bundler.buffers import Buffers
from sealift_bundler.chunking import Piece
from sealift_bundler.pack import Packer
from sealift_bundler.reading import read_pieces
from sealift_bundler.target import DirectoryTarget, open_target
from sealift_manifests.codecs import decode
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import BusyError, OutputError, UsageError
from sealift_manifests.index import MAX_CHUNK, dump_index, parse_index
from sealift_manifests.media import Media


@pytest.fixture
def target(tmp_path: Path) -> DirectoryTarget:
    return DirectoryTarget(tmp_path / "bundle")


def packed(target: DirectoryTarget, *files: list[tuple[bytes, int]], part=2**32 - 1):
    """Pack files, each a list of pieces; return the index and the pack digests."""
    with Packer(target, part) as packer:
        for pieces in files:
            packer.add(pieces)
        return packer.finish(), packer.pack_digests


def test_every_file_comes_back_from_the_index_and_the_packs(target):
    files = [
        [(text("a", 50), 1), (weights("b", 3000, 2), 2)],
        [(noise("c", 5000), 1)],
        [],
    ]

    index, _ = packed(target, *files)

    for pieces in files:
        plain = b"".join(data for data, _ in pieces)
        content = index.contents[digest_of(plain)]
        assert content.size == len(plain)
        assert b"".join(chunk_of(target, index, n) for n in content.chunks) == plain
    assert [chunk.codec for chunk in index.chunks] == ["zstd", "shuffle-zstd", "raw"]
    assert parse_index(dump_index(index)) == index


def test_what_is_held_or_left_out_has_its_chunks_last_and_no_place(target):
    held, left, new = noise("held", 300), noise("left", 200), noise("new", 100)
    with Packer(target, held=frozenset([digest_of(held)])) as packer:
        packer.add([(left, 1)], left_out=True)
        packer.add([(held, 1), (new, 1)])
        index = packer.finish()

    assert [(c.digest, c.size, c.is_base) for c in index.chunks] == [
        (digest_of(new), 100, False),
        (digest_of(left), 200, True),
        (digest_of(held), 300, True),
    ]
    assert index.contents[digest_of(held + new)].chunks == (2, 0)
    assert [pack.size for pack in index.packs] == [100]


def test_a_chunk_of_a_file_that_is_left_out_is_stored_for_a_file_that_is_not(target):
    both, alone = noise("both", 300), noise("alone", 200)
    with Packer(target) as packer:
        packer.add([(both, 1), (alone, 1)], left_out=True)
        packer.add([(both, 1)])
        index = packer.finish()

    assert [(c.digest, c.is_base) for c in index.chunks] == [
        (digest_of(both), False),
        (digest_of(alone), True),
    ]
    assert index.contents[digest_of(both + alone)].chunks == (0, 1)


def chunk_of(target: DirectoryTarget, index, number: int) -> bytes:
    chunk = index.chunks[number]
    pack = (target.path / index.packs[chunk.pack].name).read_bytes()
    stored = pack[chunk.offset : chunk.offset + chunk.stored_size]
    assert digest_of(stored) == chunk.stored_digest
    plain = bytes(decode(chunk.codec, stored, chunk.size, chunk.width))
    assert digest_of(plain) == chunk.digest
    return plain


def test_equal_pieces_are_stored_once(target):
    same, other = noise("same", 4000), noise("other", 4000)

    index, _ = packed(target, [(same, 1), (other, 1)], [(other, 1), (same, 1)])

    assert [chunk.digest for chunk in index.chunks] == [
        digest_of(same),
        digest_of(other),
    ]
    assert index.packs[0].size == 8000
    both = [index.contents[digest_of(a + b)] for a, b in ((same, other), (other, same))]
    assert [content.chunks for content in both] == [(0, 1), (1, 0)]


def test_no_pack_is_larger_than_a_part_and_its_digest_is_that_of_its_bytes(target):
    pieces = [(noise(str(n), 3 << 20), 1) for n in range(6)]

    index, digests = packed(target, pieces, part=MAX_CHUNK)

    assert [pack.size for pack in index.packs] == [6 << 20] * 3
    for name, digest in digests.items():
        data = (target.path / name).read_bytes()
        assert len(data) <= MAX_CHUNK
        assert digest == digest_of(data)


def test_a_part_that_holds_no_chunk_is_refused(target):
    with pytest.raises(UsageError, match="--part-size"):
        Packer(target, MAX_CHUNK - 1)


def test_an_observer_sees_the_bytes_in_order(target):
    pieces = [(noise(str(n), 1000), 1) for n in range(20)]
    state = hashlib.sha256()

    with Packer(target) as packer:
        taken = packer.add(pieces, [state])
        packer.drain()

    assert taken.digest.hex == state.hexdigest()
    assert taken.digest == digest_of(b"".join(data for data, _ in pieces))


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    fd = os.open(path, os.O_RDONLY)

    with pytest.raises(EOFError):
        list(read_pieces(fd, [Piece(0, 6, 1), Piece(6, 6, 1)], Buffers()))
    os.close(fd)


# Places


def write_one(target, name: str, data: bytes) -> None:
    sink = target.create(name)
    sink.write(data)
    sink.close()


@pytest.mark.parametrize("tar", [False, True], ids=["directory", "tar"])
def test_nothing_has_the_final_name_before_the_end(tmp_path, tar):
    final = tmp_path / ("b-1.tar" if tar else "b-1")

    with open_target(tmp_path, "b-1", tar=tar, mtime=7) as target:
        write_one(target, "data-0001.pack", b"x" * 700)
        assert not final.exists()
        target.finish()
        assert not final.exists()
        assert target.commit() == final

    assert final.exists()
    with Media([str(final)]) as media:
        assert media.open("data-0001.pack").read_all(1000) == b"x" * 700


@pytest.mark.parametrize("tar", [False, True], ids=["directory", "tar"])
def test_a_build_that_fails_leaves_nothing(tmp_path, tar):
    with (
        pytest.raises(ZeroDivisionError),
        open_target(tmp_path, "b-1", tar=tar, mtime=7) as target,
    ):
        write_one(target, "data-0001.pack", b"x")
        raise ZeroDivisionError

    assert list(tmp_path.iterdir()) == []


def test_the_tar_is_one_that_gnu_tar_unpacks(tmp_path):
    with open_target(tmp_path, "b-1", tar=True, mtime=86400) as target:
        write_one(target, "data-0001.pack", b"x" * 513)
        write_one(target, "SHA256SUMS", b"")
        target.finish()
        path = target.commit()

    shown = subprocess.check_output(
        ["tar", "--utc", "-tvf", path], env={"PATH": os.environ["PATH"], "LC_ALL": "C"}
    ).decode()

    assert [" ".join(line.split()) for line in shown.splitlines()] == [
        "-rw-r--r-- 0/0 513 1970-01-02 00:00 b-1/data-0001.pack",
        "-rw-r--r-- 0/0 0 1970-01-02 00:00 b-1/SHA256SUMS",
    ]


def test_a_taken_name_and_a_second_build_at_once_are_refused(tmp_path):
    (tmp_path / "taken").mkdir()

    with (
        pytest.raises(OutputError, match="exists already"),
        open_target(tmp_path, "taken", tar=False, mtime=0),
    ):
        pass
    with (
        open_target(tmp_path, "b", tar=False, mtime=0),
        pytest.raises(BusyError),
        open_target(tmp_path, "b", tar=False, mtime=0),
    ):
        pass
