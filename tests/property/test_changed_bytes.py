"""Every changed, missing, added and misplaced byte of a small bundle is found.

Exhaustive: each byte of each file, in a directory and in a tar, through the code that
`verify` runs. The installer in the bundle is replaced by a few bytes, to keep it small.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from making import PYZ, a_key, build, resign, weights_spec
from mixed import weights
from sealift_manifests import ustar
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.errors import DigestMismatchError, PayloadError, SealiftError
from sealift_manifests.media import Media, MediaFile
from sealift_manifests.preflight.newest import TABLES_NAME
from sealift_manifests.trust import Trust
from sealift_manifests.verification import Verification
from sealift_manifests.verify import measure

MODEL = {"config.json": b'{"model_type": "tiny"}\n', "w.bin": weights("w", 60, 4)}
ROOTS = ("SHA256SUMS", "SHA256SUMS.k.sig")


@dataclass(frozen=True)
class Signed:
    """A small bundle, all of its files, and who is trusted."""

    folder: Path
    files: dict[str, bytes]
    trust: Trust

    def measured(self, media: Any) -> Verification:
        """Do what `verify` does."""
        return measure(open_bundle(media, self.trust, datetime.now(UTC)), unseen)

    def is_called_good(self, media: Any) -> bool:
        """Say whether `verify` finds nothing; a refusal is a finding."""
        try:
            found = self.measured(media)
            found.require()
        except SealiftError as error:
            assert error.hint
            return False
        return found.damages == ()


def unseen(size: int) -> None:
    """Take the progress, and show it to nobody."""


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    root = tmp_path_factory.mktemp("changed-bytes")
    key = a_key(root / "k")
    bundle = build(weights_spec(root, "b", MODEL), key, root / "out")
    (bundle / PYZ).write_bytes(b"# installer\n")
    (bundle / "INSTALL.md").write_bytes(b"# guide\n")
    (bundle / TABLES_NAME).write_bytes(b"{}\n")
    resign(bundle, key)
    files = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert sum(map(len, files.values())) < 5000
    trust = Trust.from_key_file(key.public.read_text(), "k.pub")
    return Signed(bundle, files, trust)


class InMemory:
    """A medium whose files are what a test says."""

    places = ("medium",)
    patches: tuple[Any, ...] = ()
    faults: dict[str, str] = {}

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._files))

    def open(self, name: str) -> MediaFile:
        if name not in self._files:
            raise PayloadError(f"{name} is missing", hint="Name every medium.")
        return self.copies(name)[0]

    def copies(self, name: str) -> tuple[MediaFile, ...]:
        return (Held(name, self._files[name]),) if name in self._files else ()

    def drop_cache(self) -> None:
        pass


class Held(MediaFile):
    """A file in memory."""

    def __init__(self, name: str, data: bytes) -> None:
        self._data = data
        self.label, self.size, self.place = name, len(data), "medium"

    def expect(self, offset: int, size: int) -> None:
        """It is in memory already."""

    def read_into(self, target: memoryview, offset: int) -> None:
        target[:] = self._data[offset : offset + len(target)]


def altered(data: bytes, at: int) -> bytes:
    """Return `data` with one bit of one byte flipped, another bit for each byte."""
    changed = bytearray(data)
    changed[at] ^= 1 << at % 8
    return bytes(changed)


def test_the_bundle_is_good_as_it_is(signed):
    assert signed.is_called_good(InMemory(signed.files))
    assert signed.is_called_good(Media([str(signed.folder)]))


def test_every_flipped_byte_of_every_file_is_found(signed):
    unfound = [
        (name, at)
        for name, data in signed.files.items()
        for at in range(len(data))
        if signed.is_called_good(InMemory({**signed.files, name: altered(data, at)}))
    ]

    assert unfound == []


def test_a_flipped_byte_is_found_where_it_is_and_nowhere_else(signed):
    for name, data in signed.files.items():
        for at in {0, len(data) // 2, len(data) - 1} if name not in ROOTS else ():
            try:
                changed = {**signed.files, name: altered(data, at)}
                (damage,) = signed.measured(InMemory(changed)).damages
            except DigestMismatchError as error:
                assert name in error.message  # What is needed to look further.
                continue
            assert (damage.name, damage.kind) == (name, "changed")
            assert all(start <= at < end for start, end in damage.ranges)


def test_every_flipped_byte_of_a_pack_is_found_before_it_is_decoded(signed):
    name, data = "data-0001.pack", signed.files["data-0001.pack"]
    whole = open_bundle(InMemory(signed.files), signed.trust, datetime.now(UTC))
    covered = 0

    for number, chunk in enumerate(whole.index.chunks):
        for at in range(chunk.offset, chunk.offset + chunk.stored_size):
            other = InMemory({**signed.files, name: altered(data, at)})
            with pytest.raises(DigestMismatchError):
                over(whole, other).read_chunk(number)
            covered += 1

    assert covered == len(data)


def over(bundle: Bundle, media: Any) -> Bundle:
    """Return an open bundle whose medium changed afterwards."""
    return replace(bundle, media=media)


@pytest.mark.slow
def test_a_file_that_is_cut_short_at_any_length_is_found(signed):
    unfound = [
        (name, size)
        for name, data in signed.files.items()
        for size in range(len(data))
        if signed.is_called_good(InMemory({**signed.files, name: data[:size]}))
    ]

    # The last newline of a signature may be missing: FORMAT.md, section 5.
    assert unfound == [(ROOTS[1], len(signed.files[ROOTS[1]]) - 1)]


def test_a_byte_too_many_behind_any_file_is_found(signed):
    for name, data in signed.files.items():
        for extra in (b"\0", b"\n", data):
            more = InMemory({**signed.files, name: data + extra})
            assert not signed.is_called_good(more), (name, extra[:1])


def test_a_file_that_is_missing_is_found(signed):
    for name in signed.files:
        rest = {n: data for n, data in signed.files.items() if n != name}
        assert not signed.is_called_good(InMemory(rest)), name


def test_any_two_files_that_are_swapped_are_found(signed):
    for one, two in permutations(signed.files, 2):
        swapped = {one: signed.files[two], two: signed.files[one]}
        assert not signed.is_called_good(InMemory({**signed.files, **swapped}))


# In a tar


@dataclass(frozen=True)
class Tar:
    """A bundle in one archive, and the offsets in it that mean nothing.

    `held` are those of the files' bytes; at `end` the header that ends it begins.
    """

    path: Path
    data: bytes
    padding: frozenset[int]
    held: frozenset[int]
    end: int


@pytest.fixture(scope="module")
def tar(signed: Signed) -> Iterator[Tar]:
    data, padding, held = b"", set(), set()
    for name, content in sorted(signed.files.items(), key=lambda item: item[0][0]):
        data += ustar.header(f"b-1.0.0/{name}", len(content))
        held.update(range(len(data), len(data) + len(content)))
        data += content
        fill = ustar.padding(len(content))
        padding.update(range(len(data), len(data) + len(fill)))
        data += fill
    shared_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
        path = Path(folder, "b-1.0.0.tar")
        path.write_bytes(data + ustar.END)
        places = frozenset(padding), frozenset(held)
        yield Tar(path, data + ustar.END, *places, len(data))


def is_called_good(signed: Signed, path: Path) -> bool:
    try:
        with Media([str(path)]) as media:
            return signed.is_called_good(media)
    except SealiftError:
        return False


@pytest.mark.slow
def test_every_flipped_byte_of_a_tar_is_found_unless_it_means_nothing(signed, tar):
    unfound = set()

    with tar.path.open("r+b", buffering=0) as file:
        for at in range(len(tar.data)):
            if at in tar.held and at % 16:
                continue  # Every byte of the files is flipped above.
            os.pwrite(file.fileno(), altered(tar.data, at)[at : at + 1], at)
            if is_called_good(signed, tar.path):
                unfound.add(at)
            os.pwrite(file.fileno(), tar.data[at : at + 1], at)

    # Zeros that fill blocks, and what comes after the header that ends the archive.
    behind = range(tar.end + ustar.BLOCK, len(tar.data))
    assert unfound == tar.padding | set(behind)
    assert is_called_good(signed, tar.path)


def test_a_tar_that_is_cut_short_at_any_length_is_found(signed, tar):
    unfound = []

    for size in reversed(range(len(tar.data))):
        os.truncate(tar.path, size)
        if is_called_good(signed, tar.path):
            unfound.append(size)
    tar.path.write_bytes(tar.data)

    assert sorted(unfound) == list(range(tar.end + ustar.BLOCK, len(tar.data)))
