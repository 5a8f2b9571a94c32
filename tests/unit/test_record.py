"""A record says what is in the packs, or nothing: never what is not so."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from sealift_bundler.record import Closed, Record, Stored
from sealift_manifests.digests import digest_of
from sealift_manifests.index import Chunk, Pack

MAKER = {"sealift": "1", "zstd": "2"}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def stored(number: int, pack: int, offset: int) -> Stored:
    """Return a chunk of 100 stored bytes."""
    digest = digest_of(b"%d" % number)
    return Stored(Chunk(digest, 300, "zstd", 1, pack, offset, 100, digest), 2)


LINES = (
    stored(1, 0, 0),
    stored(2, 0, 100),
    Closed(200, digest_of(b"")),
    stored(3, 1, 0),
)


def loaded(path: Path, maker=MAKER, **options) -> Record:
    """Read a record."""
    record = Record(path)
    record.load(maker, **options)
    record.close()
    return record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A record of three chunks in two packs."""
    record = Record(tmp_path / "record")
    record.load(MAKER)
    record.append(LINES[:2])
    record.append(LINES[2:])
    record.close()
    return record.path


def test_what_was_recorded_is_read_again(path):
    record = loaded(path)

    assert record.lines == LINES
    assert record.stored_size == 300
    assert record.packs() == [Pack("data-0001.pack", 200), Pack("data-0002.pack", 100)]


def test_each_flipped_byte_and_each_cut_leaves_only_lines_that_are_true(path):
    data = path.read_bytes()

    for at in range(len(data)):
        for changed in (data[:at], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]):
            path.write_bytes(changed)
            record = loaded(path)
            assert record.lines == LINES[: len(record.lines)]
            assert loaded(path).lines == record.lines


@pytest.mark.parametrize("count", range(5))
def test_what_is_cut_off_is_gone_and_the_record_goes_on_from_there(path, count):
    record = Record(path)
    record.load(MAKER)

    record.cut(count)
    record.append([stored(9, 7, 0)])

    assert record.stored_size == (100, 200, 300, 300, 400)[count]
    assert loaded(path).lines == (*LINES[:count], stored(9, 7, 0))


@pytest.mark.parametrize(
    ("held", "kept"),
    [([200, 100], 4), ([200, 99], 3), ([199, 100], 1), ([0, 100], 0), ([100, 0], 1)],
)
def test_only_what_the_packs_still_hold_is_kept(path, held, kept):
    record = Record(path)
    record.load(MAKER)

    record.cut_to(lambda packs: held)

    assert record.lines == LINES[:kept]
    assert loaded(path).lines == LINES[:kept]


@pytest.mark.parametrize("full", ["write", "fsync"])
def test_lines_that_could_not_be_added_leave_no_trace(path, full, monkeypatch):
    before = path.read_bytes()
    record = Record(path)
    record.load(MAKER)

    def half(fd: int, data: memoryview, offset: int) -> int:
        if offset > len(before):
            raise OSError(errno.ENOSPC, "full")
        return pwrite(fd, data[: len(data) // 2], offset)

    def fails(fd: int) -> None:
        raise OSError(errno.EIO, "fails")

    pwrite = os.pwrite
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, *(("pwrite", half) if full == "write" else ("fsync", fails)))
        record.append([stored(8, 1, 100), stored(9, 1, 200)])

    assert path.read_bytes() == before


def test_another_maker_is_named(path):
    record = loaded(path, MAKER | {"zstd": "3"})

    assert record.refused == "zstd was '2' then and is '3' now"
    assert record.lines == ()
    assert loaded(path, MAKER | {"zstd": "3"}).refused == ""


def test_fresh_asks_for_nothing(path):
    record = loaded(path, fresh=True)

    assert (record.lines, record.refused) == ((), "")
    assert loaded(path).lines == ()
