"""What is packed is read back from the disk while more is packed."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from making import noise
from sealift_bundler import packs, part_size
from sealift_bundler.behind import ReadBehind
from sealift_bundler.buffers import Buffers
from sealift_bundler.direct import DirectFile
from sealift_bundler.pack import Packer
from sealift_bundler.packs import Resumed
from sealift_bundler.sinks import FileSink, MemberSink
from sealift_bundler.target import Target, open_target
from sealift_manifests.errors import DigestMismatchError, PayloadError
from sealift_manifests.index import Index

FORMS = pytest.mark.parametrize("tar", [False, True], ids=["directory", "tar"])
PIECE = 3000
COUNT = 60
PIECES = [(noise(f"behind {n}", PIECE), 1) for n in range(COUNT)]
BAD = 9
"""The chunk that the disk loses, in the third pack."""


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_size, "MAX_CHUNK", 1)
    monkeypatch.setattr(packs, "_SYNC_EVERY", 2 * PIECE)


def pack(target: Target, told: list[Resumed] | None = None) -> tuple[Index, Packer]:
    """Pack everything into packs of four chunks."""
    resumed = (told if told is not None else []).append
    with Packer(target, 4 * PIECE, resumed) as packer:
        packer.add(PIECES, name="w")
        return packer.finish(), packer


def opened(folder: Path, *, tar: bool):
    """Give the place for a bundle."""
    return open_target(folder, "b", tar=tar, mtime=7)


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk that loses a byte of one chunk once it is synced; give what was stored."""
    stored: list[int] = []
    lost = threading.Event()
    for kind in (FileSink, MemberSink):
        sync, write = kind.sync, kind.write

        def losing_sync(self, sync=sync) -> None:
            sync(self)
            path = self.place.path
            data = bytearray(path.read_bytes())
            at = data.find(PIECES[BAD][0])
            if at >= 0 and not lost.is_set():
                data[at + 7] ^= 1
                with path.open("r+b") as file:
                    file.seek(at + 7)
                    file.write(data[at + 7 : at + 8])
                lost.set()

        def noting_write(self, data, write=write) -> None:
            stored.append(len(data))
            write(self, data)

        monkeypatch.setattr(kind, "sync", losing_sync)
        monkeypatch.setattr(kind, "write", noting_write)
    return stored


@FORMS
def test_a_disk_that_loses_what_was_written_stops_the_build(tmp_path, tar, losing):
    with (
        pytest.raises(DigestMismatchError) as caught,
        opened(tmp_path, tar=tar) as target,
    ):
        pack(target)

    said = caught.value.message
    assert "does not give back what was written" in said
    assert "data-0003.pack: is not what was written (bytes 3000-6000)" in said
    assert "goes on where the damage begins" in caught.value.hint


@FORMS
def test_the_next_build_writes_the_damage_again_and_goes_on(tmp_path, tar, losing):
    told: list[Resumed] = []
    with pytest.raises(DigestMismatchError), opened(tmp_path / "a", tar=tar) as target:
        pack(target)

    with opened(tmp_path / "a", tar=tar) as target:
        index, packer = pack(target, told)
    with opened(tmp_path / "b", tar=tar) as target:
        calm, undisturbed = pack(target)

    assert told[0].kept == BAD * PIECE
    assert index == calm
    assert packer.pack_digests == undisturbed.pack_digests


def test_it_is_found_long_before_all_is_packed(tmp_path, losing, monkeypatch):
    submit = packs.Packs.store
    found = threading.Event()
    read = ReadBehind._compare

    def noting(self, *how) -> None:
        try:
            read(self, *how)
        except DigestMismatchError:
            found.set()
            raise

    def store(self, measured):
        if len(self.chunks) == COUNT // 2:
            assert found.wait(30)
        return submit(self, measured)

    monkeypatch.setattr(ReadBehind, "_compare", noting)
    monkeypatch.setattr(packs.Packs, "store", store)

    with (
        pytest.raises(DigestMismatchError),
        opened(tmp_path, tar=False) as target,
    ):
        pack(target)

    assert len(losing) < COUNT


def test_a_disk_that_fails_to_read_is_told_as_such(tmp_path, monkeypatch):
    read = DirectFile.read

    def fail(self, buffers: Buffers, offset: int, size: int) -> memoryview:
        if offset == 2 * PIECE:
            raise OSError(errno.EIO, "Input/output error")
        return read(self, buffers, offset, size)

    monkeypatch.setattr(DirectFile, "read", fail)
    with (
        pytest.raises(PayloadError, match=r"cannot be read \(bytes 6000-9000\)"),
        opened(tmp_path, tar=False) as target,
    ):
        pack(target)


@FORMS
def test_what_was_given_back_is_known_by_number(tmp_path, tar, monkeypatch):
    def wait(self: ReadBehind) -> None:
        for future in self._waiting:
            future.result()

    monkeypatch.setattr(ReadBehind, "finish", wait)
    with opened(tmp_path, tar=tar) as target:
        index, packer = pack(target)

    assert packer.read_back == set(range(len(index.chunks)))


def test_what_an_earlier_run_has_left_is_not_known_to_be_good(tmp_path, monkeypatch):
    with pytest.raises(ZeroDivisionError), opened(tmp_path, tar=False) as target:
        pack(target)
        raise ZeroDivisionError

    with opened(tmp_path, tar=False) as target:
        _, packer = pack(target)

    assert packer.read_back == set()
