"""Staging that was cut off goes on: nothing verified is read or written again.

What the journal says is never believed: each chunk that is kept is measured.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from making import flip, noise
from sealift_bundler.pack import Packer
from sealift_bundler.target import DirectoryTarget
from sealift_installer import durable, journal, losses, patience, shelf, space, staging
from sealift_installer.layout import Layout
from sealift_installer.ranges import size_of
from sealift_installer.staging import Staging
from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import DigestMismatchError, PayloadError, StagingError
from sealift_manifests.index import Content, Index
from sealift_manifests.media import Media, MediaFile
from staged import Told, stage

MIB = 1 << 20
CHUNK = 8 * MIB
DATA = noise("large", 5 * CHUNK + 1000)


class Model:
    """Stands for a manifest that knows the one file."""

    def contents(self) -> Iterator[tuple[Digest, int, str]]:
        """Yield digest, size and name."""
        yield digest_of(DATA), len(DATA), "large.gguf"


@dataclass
class Counted:
    """A file on media that count what is read, a disk that counts what is written."""

    media: list[Path]
    index: Index
    layout: Layout
    read: Counter[str] = field(default_factory=Counter)
    written: list[tuple[int, int]] = field(default_factory=list)

    @property
    def content(self) -> Content:
        (content,) = self.index.contents.values()
        return content

    @property
    def unfinished(self) -> Path:
        return Path(journal.unfinished(self.layout, self.content.digest))

    @property
    def record(self) -> Path:
        return Path(journal.record(self.layout, self.content.digest))

    def opened(self, *media: Path) -> Bundle:
        files = Media([str(medium) for medium in media or self.media])
        return Bundle(files, *("", {}, {}, (), Model(), self.index, {}))

    def stage(self, told: Told | None = None, *, using: Bundle | None = None) -> None:
        self.read.clear()
        self.written.clear()
        bundle = using or self.opened()
        with bundle.media:
            stage(self.layout, bundle, [self.content], told)

    def expect_staged(self) -> None:
        assert Path(self.layout.content(self.content.digest)).read_bytes() == DATA
        assert os.listdir(self.layout.journal) == []


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    with Packer(DirectoryTarget(tmp_path / "bundle")) as packer:
        packer.add_bytes(DATA)
        index = packer.finish()
    (tmp_path / ".bundle.partial").rename(tmp_path / "one")
    layout = Layout(str(tmp_path / "state"), str(tmp_path / "etc"))
    counted = Counted([tmp_path / "one"], index, layout)
    reads, writes = MediaFile.read_into, durable.write_all_at

    def read_into(self: MediaFile, target: memoryview, offset: int) -> None:
        counted.read[self.place] += len(target)
        reads(self, target, offset)

    def write_all_at(fd: int, data: memoryview, offset: int) -> None:
        counted.written.append((offset, offset + len(data)))
        writes(fd, data, offset)

    monkeypatch.setattr(MediaFile, "read_into", read_into)
    monkeypatch.setattr(durable, "write_all_at", write_all_at)
    monkeypatch.setattr(staging, "core_count", lambda: 1)
    for module in (staging, shelf):
        monkeypatch.setattr(module, "CHECKPOINT", CHUNK)
    return counted


class Interrupting(Told):
    """Interrupts the work, as Ctrl-C does, after some bytes."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def __call__(self, size: int) -> None:
        super().__call__(size)
        if sum(self.sizes) >= self._after:
            raise KeyboardInterrupt


@pytest.fixture
def cut_off(counted: Counted) -> Counted:
    """A file whose staging was interrupted after two chunks or a few more."""
    with pytest.raises(KeyboardInterrupt):
        counted.stage(Interrupting(after=2 * CHUNK))
    kept = size_of(journal.had(counted.layout, counted.content))
    assert 2 * CHUNK <= kept < len(DATA)
    assert kept == size_of(tuple(counted.written))
    return counted


def test_what_is_kept_is_neither_read_from_the_medium_nor_written_again(cut_off):
    kept = journal.had(cut_off.layout, cut_off.content)

    cut_off.stage()

    rest = len(DATA) - size_of(kept)
    assert sum(cut_off.read.values()) == size_of(tuple(cut_off.written)) == rest
    cut_off.expect_staged()


def test_what_the_disk_has_lost_is_brought_again_and_nothing_else(cut_off):
    kept = size_of(journal.had(cut_off.layout, cut_off.content))
    flip(cut_off.unfinished, at=CHUNK + 5)

    cut_off.stage()

    assert sum(cut_off.read.values()) == len(DATA) - kept + CHUNK
    assert cut_off.written[0] == (CHUNK, 2 * CHUNK)
    cut_off.expect_staged()


def test_what_the_disk_has_lost_and_no_medium_has_is_told_and_the_rest_kept(cut_off):
    flip(cut_off.unfinished, at=CHUNK + 5)
    flip(cut_off.media[0] / "data-0001.pack", at=CHUNK + 7)

    with pytest.raises(DigestMismatchError, match="bytes 8388608-16777216"):
        cut_off.stage()

    kept = journal.had(cut_off.layout, cut_off.content)
    assert kept == ((0, CHUNK), (2 * CHUNK, len(DATA)))


@pytest.mark.parametrize(
    "nonsense",
    [
        b"0 8388608",
        b"0 8388608\n0 99999999999\n",
        b"8388608 16777216\n0 8388608\n",
        b"0 0\n",
        b"-1 5\n",
        b"\0\0\0\0",
        b"0 8388608\n\0\0",
        b"0 " + b"9" * 5000 + b"\n",
    ],
)
def test_a_list_that_makes_no_sense_is_not_followed(cut_off, nonsense):
    cut_off.record.write_bytes(nonsense)

    assert journal.had(cut_off.layout, cut_off.content) == ()
    cut_off.stage()

    assert sum(cut_off.read.values()) == len(DATA)
    cut_off.expect_staged()


def test_a_list_counts_bytes_and_not_the_chunks_of_one_bundle(cut_off):
    cut_off.record.write_bytes(b"0 %d\n" % (CHUNK + 100))

    cut_off.stage()

    assert sum(cut_off.read.values()) == len(DATA) - CHUNK
    cut_off.expect_staged()


@pytest.mark.parametrize("harm", ["a link", "another name", "a folder", "too long"])
def test_what_somebody_put_in_the_place_of_the_file_is_not_written_to(
    cut_off, harm, tmp_path
):
    victim = tmp_path / "victim"
    victim.write_bytes(DATA)
    unfinished = cut_off.unfinished
    if harm == "too long":
        with unfinished.open("ab") as file:
            file.truncate(len(DATA) + 1)
    else:
        unfinished.unlink()
    if harm == "a link":
        unfinished.symlink_to(victim)
    elif harm == "another name":
        os.link(victim, unfinished)
    elif harm == "a folder":
        unfinished.mkdir()

    cut_off.stage()

    assert victim.read_bytes() == DATA
    assert victim.stat().st_mode & 0o222
    cut_off.expect_staged()


def test_a_file_that_only_lacked_its_name_is_finished_without_the_medium(counted):
    with pytest.raises(KeyboardInterrupt):
        counted.stage(Interrupting(after=2 * CHUNK))
    counted.unfinished.write_bytes(DATA)
    counted.record.write_bytes(b"0 %d\n" % len(DATA))
    counted.unfinished.chmod(0o444)

    counted.stage()

    assert (counted.read, counted.written) == (Counter(), [])
    counted.expect_staged()


def test_room_is_asked_for_only_what_is_not_in_the_journal_yet(cut_off):
    held = journal.allocated(cut_off.layout)

    assert 2 * CHUNK <= held <= len(DATA) + MIB
    need = space.weights_need("/", [cut_off.content], (), 4096).size
    assert need - held < len(DATA)


def test_a_disk_that_fails_a_sync_is_not_believed_when_it_says_it_is_well(
    counted, monkeypatch
):
    real, failed = os.fdatasync, []

    def fdatasync(fd: int) -> None:
        if not failed:
            failed.append(fd)
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)

    with pytest.raises(StagingError, match="Input/output error"):
        counted.stage()

    assert not os.path.exists(counted.layout.content(counted.content.digest))
    assert journal.had(counted.layout, counted.content) == ()
    counted.stage()
    counted.expect_staged()


# Two media


@pytest.fixture
def pair(counted: Counted, tmp_path: Path) -> Counted:
    """The same bundle on two media."""
    (tmp_path / "two").mkdir()
    for path in counted.media[0].iterdir():
        (tmp_path / "two" / path.name).write_bytes(path.read_bytes())
    counted.media.append(tmp_path / "two")
    return counted


def test_what_one_medium_has_damaged_another_gives_and_the_first_is_named(pair):
    flip(pair.media[0] / "data-0001.pack", at=CHUNK + 5)
    bundle = pair.opened()

    pair.stage(using=bundle)

    pair.expect_staged()
    (warning,) = losses.mended(bundle, ())
    one, two = map(str, pair.media)
    assert warning == (
        f"warning: {one} is failing: {one}/data-0001.pack bytes 8388608-16777216; "
        f"taken from {two}"
    )


def test_all_that_is_wrong_on_all_media_is_told_at_once(pair):
    for medium, other in zip(pair.media, (1, 2), strict=True):
        flip(medium / "data-0001.pack", at=4 * CHUNK)
        flip(medium / "data-0001.pack", at=other * CHUNK)

    with pytest.raises(DigestMismatchError) as caught:
        pair.stage()

    said = caught.value.message
    for medium in pair.media:
        assert f"{medium}/data-0001.pack: is not what was signed" in said
    assert said.count("bytes 33554432-41943040") == 2
    assert "hits large.gguf" in said
    assert size_of(journal.had(pair.layout, pair.content)) == len(DATA) - CHUNK


def test_a_medium_that_was_pulled_out_is_not_asked_for_ever(pair, monkeypatch):
    asked: Counter[str] = Counter()
    working = MediaFile.read_into

    def read_into(self: MediaFile, target: memoryview, offset: int) -> None:
        asked[self.place] += 1
        if self.place == str(pair.media[0]):
            raise PayloadError("No such device", hint="")
        working(self, target, offset)

    monkeypatch.setattr(MediaFile, "read_into", read_into)
    monkeypatch.setattr(patience, "READ_ERRORS", 2)

    pair.stage()

    pair.expect_staged()
    # Two errors in a row, and what was asked for meanwhile.
    assert asked[str(pair.media[0])] <= 2 + 3 < len(pair.content.chunks)


def test_media_that_lack_packs_give_what_they_have(counted):
    chunks = counted.index.chunks
    os.truncate(counted.media[0] / "data-0001.pack", chunks[2].offset)
    bundle = counted.opened()

    with bundle.media, Staging(counted.layout, counted.index, [counted.content]) as one:
        one.run(bundle, one.plan(bundle), Told())
        missing = one.missing()

    assert missing == tuple(range(2, len(chunks)))
    assert journal.had(counted.layout, counted.content) == ((0, 2 * CHUNK),)
