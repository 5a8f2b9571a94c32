"""A medium reads the next chunks while threads are still at work on those before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import making
import pytest
from making import Key
from sealift_bundler.buffers import Buffers
from sealift_bundler.chunking import cut_plain
from sealift_bundler.copy_source import CopySource
from sealift_bundler.direct import DirectFile
from sealift_bundler.reading import read_pieces
from sealift_installer.layout import Layout
from sealift_installer.staging import Staging
from sealift_manifests import parallel
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.measured_units import measured
from sealift_manifests.media import Media, MediaFile
from sealift_manifests.trust import Trust
from sealift_manifests.verify import measure
from sticks import MIB

CHUNKS = 4
FILES = {"big.gguf": making.noise("ahead", CHUNKS * 8 * MIB)}


@pytest.fixture(scope="module")
def path(key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ahead")
    return making.build(making.weights_spec(folder, "ahead", FILES), key, folder / "o")


@pytest.fixture
def bundle(path: Path, key: Key) -> Iterator[Bundle]:
    trust = Trust.from_fingerprints([key.fingerprint])
    with Media([str(path)]) as media:
        yield open_bundle(media, trust, datetime.now(UTC))


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Offsets of what was read in a thread when the chunks behind were not asked for.

    There are two threads, and none reads until four chunks were asked for, or for long.
    """
    found: list[int] = []
    asked: set[int] = set()
    enough = threading.Event()
    expect, read_into = MediaFile.expect, MediaFile.read_into

    def note(self: MediaFile, offset: int, size: int) -> None:
        asked.add(offset)
        if len(asked) == CHUNKS:
            enough.set()
        expect(self, offset, size)

    def read(self: MediaFile, target: memoryview, offset: int) -> None:
        is_chunk = threading.current_thread() is not threading.main_thread()
        if is_chunk and not enough.wait(5):
            found.append(offset)
        read_into(self, target, offset)

    monkeypatch.setattr(MediaFile, "expect", note)
    monkeypatch.setattr(MediaFile, "read_into", read)
    monkeypatch.setattr(parallel, "core_count", lambda: 2)
    return found


def verify(bundle: Bundle, _folder: Path) -> None:
    assert not measure(bundle, lambda _: None).damages


def stream(bundle: Bundle, _folder: Path) -> None:
    (digest,) = (d for d, held in bundle.index.contents.items() if held.size > MIB)
    assert b"".join(bundle.read_content(digest)) == FILES["big.gguf"]


def stage(bundle: Bundle, folder: Path) -> None:
    layout = Layout(str(folder / "state"), str(folder / "etc"))
    with Staging(layout, bundle.index, bundle.index.contents.values()) as staging:
        staging.run(bundle, staging.plan(bundle), Unwatched())


def compare(bundle: Bundle, _folder: Path) -> None:
    units = CopySource(bundle).units["data-0001.pack"]
    assert all(measured(bundle.pack_file(0), units))


def copy(bundle: Bundle, _folder: Path) -> None:
    blocks = CopySource(bundle).blocks("data-0001.pack", 0, lambda _: None)
    assert sum(map(len, blocks)) == bundle.index.packs[0].size


class Unwatched:
    """Progress that nobody looks at."""

    def __call__(self, size: int) -> None:
        pass

    def at(self, name: str) -> None:
        pass


@pytest.mark.parametrize("way", [verify, stream, stage, compare, copy])
def test_what_is_wanted_next_is_asked_for_before_a_thread_is_free(
    bundle, late, way: Callable[[Bundle, Path], None], tmp_path
):
    way(bundle, tmp_path)

    assert late == []


def test_a_build_reads_two_pieces_ahead(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(FILES["big.gguf"])
    asked = []
    enough = threading.Event()
    read = DirectFile.read

    def note(self: DirectFile, buffers: Buffers, offset: int, size: int) -> memoryview:
        asked.append(offset)
        if len(asked) == 3:
            enough.set()
        return read(self, buffers, offset, size)

    monkeypatch.setattr(DirectFile, "read", note)
    whole = cut_plain(len(FILES["big.gguf"]))
    with (
        (tmp_path / "file").open("rb") as file,
        closing(read_pieces(file.fileno(), whole, Buffers())) as pieces,
    ):
        next(pieces)

        assert enough.wait(30)
        assert asked == [0, 8 * MIB, 16 * MIB]
        assert 1 + sum(1 for _ in pieces) == CHUNKS
