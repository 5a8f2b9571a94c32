"""The suite `parity`: making and using parity files, by one thread, in memory.

Packs are noise; what is read is in memory, so the disk is left out. Seconds are those
of the processor, and the yardstick is SHA-256 of the same packs by one thread.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from sealift_bundler.parity import Ratio, write_parity
from sealift_bundler.record import pack_name
from sealift_bundler.target import DirectoryTarget
from sealift_manifests.codecs import RAW
from sealift_manifests.digests import digest_of
from sealift_manifests.index import MAX_CHUNK, Chunk, Index, Pack
from sealift_manifests.media import Media
from sealift_manifests.parity import Parity
from sealift_manifests.rebuild import Rebuilder

from .suite_scaling import MEMORY
from .tools import Settings
from .values import Result

PACKS = 10
RATIOS = ("1/20", "2/20", "4/20")
T = TypeVar("T")


def parity(settings: Settings) -> Iterator[Result]:
    """Measure every ratio against SHA-256."""
    size = settings.bytes(5 / 8, 5 / 64) // PACKS // MAX_CHUNK * MAX_CHUNK
    folder = Path(tempfile.mkdtemp(dir=MEMORY)) / "packs"
    folder.mkdir()
    total = PACKS * size
    spent: list[dict[str, float]] = []
    result = Result("parity", f"{PACKS} packs of {size >> 20} MiB, one thread", total)
    try:
        packs, chunks = _make_packs(folder, size)
        for number in range(settings.rounds):
            settings.say(f"parity: round {number + 1} of {settings.rounds}")
            spent.append(_round(folder, packs, chunks))
    finally:
        shutil.rmtree(folder.parent)
    hashed = [seconds["SHA-256"] for seconds in spent]
    for name in spent[0]:
        speeds = [total / 1e6 / seconds[name] for seconds in spent]
        result.judge(name, *speeds, unit="MB/s")
        if name != "SHA-256":
            times = [s[name] / h for s, h in zip(spent, hashed, strict=True)]
            result.judge(f"{name} / (SHA-256)", *times)
    yield result


def _round(folder: Path, packs: list[Pack], chunks: list[Chunk]) -> dict[str, float]:
    """Return the seconds of processor time that each kind of work took."""
    spent = {"SHA-256": _time(partial(_hash_all, folder))[0]}
    for text in RATIOS:
        ratio = Ratio.parse(text)
        seconds, made = _time(partial(_make, folder, packs, ratio))
        spent[f"{text}: make"] = seconds
        index = Index(tuple(packs), tuple(chunks), {}, parity=made)
        seconds, _ = _time(partial(_rebuild, folder, index, ratio.files))
        spent[f"{text}: rebuild one pack"] = seconds
    return spent


def _time(work: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    done = work()
    return time.process_time() - start, done


def _make_packs(folder: Path, size: int) -> tuple[list[Pack], list[Chunk]]:
    """Write packs of `size` bytes each; return them and their chunks."""
    packs, chunks = [], []
    noise = np.random.default_rng(1)
    for number in range(PACKS):
        pack = Pack(pack_name(number), size)
        with (folder / pack.name).open("wb") as file:
            for start in range(0, size, MAX_CHUNK):
                data = noise.bytes(MAX_CHUNK)
                digest = digest_of(data)
                rest = (RAW, 1, number, start, MAX_CHUNK, digest)
                chunks.append(Chunk(digest, MAX_CHUNK, *rest))
                file.write(data)
        packs.append(pack)
    return packs, chunks


def _hash_all(folder: Path) -> None:
    """Read and hash all packs with one thread."""
    block = memoryview(bytearray(1 << 20))
    for path in sorted(folder.glob("*.pack")):
        state = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(block):
                state.update(block[:size])


def _make(folder: Path, packs: list[Pack], ratio: Ratio) -> Parity:
    """Make parity beside the packs, in place of what is there."""
    target = DirectoryTarget(folder.parent / "unused")
    target.path.rmdir()
    target.path = folder
    for pack in packs:
        target.keep(pack)
    for path in folder.glob("*.par"):
        path.unlink()
    return write_parity(target, packs, ratio, lambda size: None)[0]


def _rebuild(folder: Path, index: Index, lost: int) -> None:
    """Rebuild all of the first pack while the first `lost` packs are hidden."""
    assert index.parity is not None
    hidden = [folder / pack.name for pack in index.packs[:lost]]
    for path in hidden:
        path.rename(path.with_suffix(".hidden"))
    try:
        with Media([str(folder)]) as media:
            rebuilder = Rebuilder(media, index, index.parity)
            target = memoryview(bytearray(MAX_CHUNK))
            for number, chunk in enumerate(index.chunks):
                if chunk.pack == 0 and not rebuilder.read_stored(number, target):
                    raise ValueError("a chunk was not rebuilt")
    finally:
        for path in hidden:
            path.with_suffix(".hidden").rename(path)
