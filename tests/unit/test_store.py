"""Staging: a file has its name in the store only when every byte was verified."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from making import flip, noise
from sealift_bundler.pack import Packer
from sealift_bundler.target import DirectoryTarget
from sealift_installer import journal, staging
from sealift_installer.layout import Layout
from sealift_installer.ranges import size_of
from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import DigestMismatchError
from sealift_manifests.index import Content, Index
from sealift_manifests.media import Media
from staged import stage

MIB = 1 << 20
FILES = {
    "large": noise("large", 20 * MIB),
    "compressible": b"all the same " * MIB,
    "one chunk": b"small",
    "empty": b"",
    "begins like large": noise("large", 20 * MIB)[: 8 * MIB] + b"and ends otherwise",
}


class Named:
    """Stands for a manifest that knows the names of FILES."""

    def contents(self) -> Iterator[tuple[Digest, int, str]]:
        """Yield digest, size and name of each."""
        for name, data in FILES.items():
            yield digest_of(data), len(data), name


@dataclass
class Packs:
    """Packs of FILES, to be staged below `layout`."""

    folder: Path
    index: Index
    layout: Layout

    def stage(self, *contents: Content) -> int:
        """Stage contents; return the number of bytes that progress was told of."""
        with self.opened() as bundle:
            return stage(self.layout, bundle, contents)

    @contextmanager
    def opened(self) -> Iterator[Bundle]:
        """Open the packs as a bundle whose signature is not the matter here."""
        with Media([str(self.folder)]) as media:
            nothing = cast(Any, None)
            rest: Mapping[str, Any] = {}
            yield Bundle(*(media, nothing, rest, rest, (), Named(), self.index, rest))

    def content(self, name: str) -> Content:
        return self.index.contents[digest_of(FILES[name])]

    def stored(self) -> dict[Digest, bytes]:
        found = [p for p in Path(self.layout.store).rglob("*") if p.is_file()]
        return {Digest(f"sha256:{path.name}"): path.read_bytes() for path in found}


@pytest.fixture
def packs(tmp_path: Path) -> Packs:
    with Packer(DirectoryTarget(tmp_path / "bundle")) as packer:
        for data in FILES.values():
            packer.add_bytes(data)
        index = packer.finish()
    folder = tmp_path / ".bundle.partial"
    layout = Layout(str(tmp_path / "state"), str(tmp_path / "etc"))
    return Packs(folder, index, layout)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_files_of_any_size_arrive_and_are_read_only(packs):
    contents = [packs.content(name) for name in FILES]

    told = packs.stage(*contents)

    assert told == sum(map(len, FILES.values()))
    assert packs.stored() == {digest_of(data): data for data in FILES.values()}
    modes = {os.stat(packs.layout.content(c.digest)).st_mode & 0o777 for c in contents}
    assert modes == {0o444}
    assert os.listdir(packs.layout.journal) == []


def test_chunks_that_make_another_file_than_was_signed_get_no_name(packs):
    good, other = packs.content("large"), packs.content("begins like large")
    lying = Content(digest_of(b"another"), other.size, other.chunks)
    before = open_files()

    with pytest.raises(DigestMismatchError, match="make another file"):
        packs.stage(good, lying, packs.content("one chunk"))

    assert list(packs.stored()) == [good.digest]
    assert lying.digest.hex not in os.listdir(packs.layout.journal)
    assert open_files() == before


@pytest.mark.parametrize("name", ["large", "compressible", "one chunk"])
def test_of_a_file_with_a_damaged_chunk_the_others_are_kept(packs, name):
    bad = packs.content(name)
    good = [packs.content(n) for n in FILES if not {name, "begins like large"} & {n}]
    chunk = packs.index.chunks[bad.chunks[-1]]
    flip(packs.folder / packs.index.packs[0].name, chunk.offset)
    before = open_files()

    with pytest.raises(DigestMismatchError, match="is not what was signed"):
        packs.stage(*good, bad)

    assert set(packs.stored()) == {content.digest for content in good}
    assert size_of(journal.had(packs.layout, bad)) == bad.size - chunk.size
    assert open_files() == before


def test_memory_in_use_does_not_grow_with_the_files(packs, monkeypatch):
    made: list[int] = []

    def counted(size: int) -> bytearray:
        made.append(size)
        return bytearray(size)

    monkeypatch.setattr(staging, "bytearray", counted, raising=False)
    monkeypatch.setattr(staging, "core_count", lambda: 1)

    packs.stage(*(packs.content(name) for name in FILES))

    assert (
        len(made)
        <= 1 + 2 + 2 + 1
        < sum(len(packs.content(name).chunks) for name in FILES)
    )
