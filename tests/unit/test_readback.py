"""At its end a build reads what was not read back before, and each pack's begin."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import making
import pytest
from making import Key, noise
from sealift_bundler.readback import read_back
from sealift_bundler.report import Report
from sealift_manifests.errors import DigestMismatchError
from sealift_manifests.index import Index, parse_index
from sealift_manifests.trust import Trust

MIB = 1 << 20
FILES = {f"{n}.gguf": noise(f"read back {n}", MIB) for n in range(20)}


@dataclass
class Written:
    """An unfinished bundle, which is its own record of what is struck."""

    path: Path
    struck: list[tuple[int, int]] = field(default_factory=list)

    @property
    def record(self) -> Written:
        return self

    def strike(self, number: int, pack: int) -> None:
        self.struck.append((number, pack))


@pytest.fixture
def written(tmp_path: Path, key: Key) -> Written:
    spec = making.weights_spec(tmp_path, "back", FILES)
    return Written(making.build(spec, key, tmp_path / "o", "--part-size", "8MiB"))


@pytest.fixture
def index(written: Written) -> Index:
    return parse_index((written.path / "index.json").read_bytes())


def damage(written: Written, index: Index, number: int) -> str:
    """Change a byte of a chunk; return the name of its pack."""
    chunk = index.chunks[number]
    pack = index.packs[chunk.pack].name
    making.flip(written.path / pack, chunk.offset + 5)
    return pack


def look(written: Written, key: Key, good: set[int]) -> None:
    trust = Trust.from_fingerprints([key.fingerprint])
    read_back(written, trust, datetime.now(UTC), Report(), good)


def firsts(index: Index) -> list[int]:
    return [n for n, chunk in enumerate(index.chunks) if chunk.offset == 0]


def test_what_nobody_has_read_back_is_read(written, index, key):
    assert len(index.packs) >= 3
    number = firsts(index)[1] + 2
    pack = damage(written, index, number)
    others = set(range(len(index.chunks))) - {number}

    with pytest.raises(DigestMismatchError, match=pack):
        look(written, key, others)

    assert written.struck == [(number, 1)]


def test_the_begin_of_each_pack_is_read_once_more(written, index, key):
    # A stick that claims to be larger than it is loses by now what was written first.
    pack = damage(written, index, firsts(index)[0])

    with pytest.raises(DigestMismatchError, match=pack):
        look(written, key, set(range(len(index.chunks))))

    assert written.struck == [(0, 0)]


def test_what_was_read_back_before_is_not_read_again(written, index, key):
    damage(written, index, firsts(index)[0] + 1)

    look(written, key, set(range(len(index.chunks))))

    assert written.struck == []
