"""Memory for chunks is used again and stays bounded, and no old byte shows through."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sealift_bundler.encode import encode
from sealift_manifests import parallel
from sealift_manifests.codecs import RAW, SHUFFLE_ZSTD, ZSTD, decode
from sealift_manifests.errors import PayloadError
from sealift_manifests.media import MediaFile
from sealift_manifests.parallel import Scratch, ordered_map

OLD = b"\xee"
TEXT = b"the quick brown fox " * 9000
WEIGHTS = b"".join(bytes([n * 7 % 251, 60 + n % 4]) for n in range(90_000)) + b"!"


@pytest.mark.parametrize(
    ("plain", "width", "codec"),
    [(TEXT, 1, ZSTD), (WEIGHTS, 2, SHUFFLE_ZSTD), (WEIGHTS * 2, 4, SHUFFLE_ZSTD)],
)
def test_a_chunk_is_decoded_at_the_start_of_used_memory(plain, width, codec):
    encoded = encode(plain, width)
    used = bytearray(OLD * (len(plain) + 1000))

    found = decode(codec, encoded.stored, len(plain), encoded.width, into=used)

    assert encoded.codec == codec
    assert found == plain
    assert used == plain + OLD * 1000


def test_small_chunks_after_large_ones_keep_nothing_of_them():
    sizes = [180_001, 20_000, 65_536 * 2 + 3, 5_001]
    parts = [encode(WEIGHTS[:size], 2) for size in sizes]

    found = [
        bytes(decode(part.codec, part.stored, size, part.width))
        for part, size in zip(parts, sizes, strict=True)
    ]

    assert {part.codec for part in parts} == {SHUFFLE_ZSTD}
    assert found == [WEIGHTS[:size] for size in sizes]


def test_a_raw_chunk_is_a_view_of_what_was_read():
    read = bytearray(b"as it is")

    assert decode(RAW, read, 8, 1).obj is read


def test_a_file_is_read_to_the_last_byte_and_not_beyond(tmp_path: Path):
    path = tmp_path / "pack"
    path.write_bytes(b"0123456789")
    fd = os.open(path, os.O_RDONLY)
    file = MediaFile(fd, "pack", 2, 8, "here")
    target = memoryview(bytearray(8))

    file.read_into(target, 0)
    with pytest.raises(PayloadError, match="ends at byte 8, before byte 9"):
        file.read_into(target, 1)
    os.close(fd)

    assert target[:7] == b"3456789"


def test_each_thread_has_scratch_memory_of_its_own():
    scratch = Scratch()
    mine = scratch.take(100)
    mine[:] = OLD * 100
    other: list[memoryview] = []

    thread = threading.Thread(target=lambda: other.append(scratch.take(50)))
    thread.start()
    thread.join()
    other[0][:] = b"x" * 50

    assert mine == OLD * 100
    assert scratch.take(10).obj is mine.obj


def test_no_more_is_in_flight_than_two_items_beyond_the_workers():
    given: list[int] = []

    def items():
        for number in range(50):
            given.append(number)
            yield number

    for result in ordered_map(lambda number: number, items(), workers=3):
        assert len(given) <= result + 3 + 2

    assert given == list(range(50))


def test_a_host_with_very_many_cores_takes_no_more_memory(monkeypatch):
    sizes: list[int] = []

    def pool(max_workers: int) -> ThreadPoolExecutor:
        sizes.append(max_workers)
        return ThreadPoolExecutor(max_workers)

    monkeypatch.setattr(parallel, "core_count", lambda: 500)
    monkeypatch.setattr(parallel, "ThreadPoolExecutor", pool)

    assert list(ordered_map(lambda number: number, range(9))) == list(range(9))
    assert sizes == [32]
