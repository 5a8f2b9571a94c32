"""One medium: what the kernel and the medium do, and what a copy makes of it."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import making
import pytest
from making import Key
from sealift_bundler import medium as medium_module
from sealift_bundler.copy_record import Record, RecordFile, Stick
from sealift_bundler.copy_source import CopySource
from sealift_bundler.copy_turns import copy_all
from sealift_bundler.copying import Copying
from sealift_bundler.medium import MediumFolder
from sealift_bundler.page_cache import forget, mount_of
from sealift_bundler.report import Report
from sealift_manifests.bundle import open_bundle
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import OutputError
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust
from sticks import MIB

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FILES = {"big.gguf": making.noise("medium", 20 * MIB)}


@pytest.fixture(scope="module")
def bundle(key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    spec = making.weights_spec(folder, "spread", FILES, serial=1)
    return making.build(spec, key, folder / "out", "--part-size", "8MiB")


@pytest.fixture
def copying(bundle: Path, key: Key, tmp_path: Path, monkeypatch) -> Copying:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "notes"))
    trust = Trust.from_fingerprints([key.fingerprint])
    with Media([str(bundle)]) as media:
        source = CopySource(open_bundle(media, trust, datetime.now(UTC)))
        yield Copying.begin(source, Report(quiet=True), NOW)


def nobody(_question: str) -> None:
    return None


# The page cache


def test_what_was_written_is_read_from_the_disk_and_not_from_memory(slots):
    slots.make("stick", "ext4", 40 * MIB)
    path = slots.insert("stick", "usb") / "file"
    path.write_bytes(making.noise("x", 9 * MIB))

    with path.open("rb") as file:
        fd = file.fileno()
        assert forget(fd) == ""

        assert mount_of(os.fstat(fd).st_dev).kind == "ext4"
        with pytest.raises(BlockingIOError):  # That page of it is not in memory.
            os.preadv(fd, [bytearray(4096)], 4 * MIB, os.RWF_NOWAIT)


def test_what_stays_in_memory_is_said_to(slots):
    path = slots.memory("usb", "12m") / "file"
    path.write_bytes(bytes(MIB))

    with path.open("rb") as file:
        assert forget(file.fileno()) == "tmpfs keeps it in memory"


# What a file system takes


def test_the_longest_file_is_known_before_anything_is_written(slots):
    slots.make("old", "ext2", 8 * MIB)
    place = slots.insert("old", "usb")

    longest = MediumFolder(place, "x").largest_file()

    # 16 GiB and a little: what three levels of blocks of 1 KiB reach.
    assert longest is not None
    assert 16 << 30 < longest < 17 << 30
    with (place / "file").open("wb") as file:
        os.pwrite(file.fileno(), b"x", longest - 1)
        with pytest.raises(OSError, match="File too large") as caught:
            os.pwrite(file.fileno(), b"x", longest)
    assert caught.value.errno == errno.EFBIG
    (place / "file").unlink()
    assert os.listdir(place) == ["lost+found"]


def test_a_pack_too_long_for_every_medium_is_told_before_it_is_written(
    copying, slots, monkeypatch
):
    place = slots.memory("usb", "30m")
    limit = 4 * MIB + 2
    monkeypatch.setattr(MediumFolder, "largest_file", lambda _self: limit)

    with pytest.raises(OutputError) as caught:
        copy_all(copying, [place], nobody)

    assert f"{place} takes files of at most 4.0 MiB" in caught.value.message
    assert "--part-size" in caught.value.hint
    assert os.listdir(place) == []


def test_a_medium_that_is_fuller_than_it_says_is_named_with_what_is_missing(
    copying, slots, monkeypatch
):
    place = slots.memory("usb", "15m")

    with monkeypatch.context() as patch, pytest.raises(OutputError) as caught:
        patch.setattr(MediumFolder, "room", lambda _self: (1 << 40, 4096))
        copy_all(copying, [place], nobody)

    assert f"{place} is full: no room for data-0002.pack" in caught.value.message
    assert "run the same command again" in caught.value.hint
    assert not list((place / copying.source.name).glob(".*"))
    with pytest.raises(OutputError, match="pack 2 still to copy"):
        copy_all(copying, [place], nobody)


def test_a_medium_that_gives_back_other_bytes_is_failing(copying, slots, monkeypatch):
    place = slots.memory("usb", "30m")
    folder = place / copying.source.name

    def decay(fd: int) -> str:
        name = os.readlink(f"/proc/self/fd/{fd}")
        if name.endswith("data-0002.pack"):
            making.flip(Path(name), at=5 * MIB)
        return forget(fd)

    monkeypatch.setattr(medium_module, "forget", decay)
    with pytest.raises(OutputError) as caught:
        copy_all(copying, [place], nobody)

    expected = f"{folder}/data-0002.pack does not read back as it was written"
    assert expected in caught.value.message
    assert "bytes 0-8388608" in caught.value.message
    assert sorted(path.name for path in folder.glob("*.pack")) == ["data-0001.pack"]


def test_a_source_is_read_once(copying, slots, monkeypatch):
    reads: dict[str, int] = {}
    file_type = type(copying.source.bundle.media.open("data-0001.pack"))
    read_into = file_type.read_into

    def counted(self, target, offset):
        reads[self.label] = reads.get(self.label, 0) + len(target)
        read_into(self, target, offset)

    monkeypatch.setattr(file_type, "read_into", counted)
    copy_all(copying, [slots.memory("usb", "30m")], nobody)

    (source,) = copying.source.bundle.media.places
    read = {name: size for name, size in reads.items() if name.startswith(source)}
    sizes = {str(path): path.stat().st_size for path in Path(source).iterdir()}
    assert {name: size for name, size in read.items() if size > sizes[name]} == {}
    assert sum(read[name] for name in read if name.endswith(".pack")) == 20 * MIB


# The note on this machine


def test_a_note_is_kept_and_a_spoiled_one_is_no_note(tmp_path):
    file = RecordFile(tmp_path / "deep/note.json", digest_of(b"root"))
    record = Record(file.root, (Stick(("data-0001.pack",), "/media/a", "2026"),))

    file.save(record)

    assert file.load() == record
    for text in ("", "[]", "{}", '{"root": "sha256:other", "sticks": []}'):
        file.path.write_text(text)
        assert file.load() == Record(file.root)
    file.forget()
    assert file.load() == Record(file.root)


def test_a_stick_is_known_again_by_its_packs():
    first, second = Stick(("1", "2"), "a", ""), Stick(("2", "3", "4"), "b", "")
    record = Record("root", (first, second))

    assert record.holding({"1", "2"}) == 0
    assert record.holding({"2", "3"}) == 1
    assert record.holding({"9"}) is None
    assert record.holding(set()) is None
    assert record.with_stick(first, 1).sticks == (first, first)
    assert record.with_stick(second, None).sticks == (first, second, second)
