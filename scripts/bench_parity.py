"""Measure making and using parity against SHA-256 of the same packs in the same run.

Packs are noise in a directory; what is read is in memory, so the disk is left out. The
yardstick is one thread that hashes all packs. CPU time, the best of three rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "manifests"), str(ROOT / "bundler")]

import numpy as np  # noqa: E402
from sealift_bundler.parity import Ratio, write_parity  # noqa: E402
from sealift_bundler.target import DirectoryTarget  # noqa: E402
from sealift_manifests.codecs import RAW  # noqa: E402
from sealift_manifests.digests import digest_of  # noqa: E402
from sealift_manifests.index import MAX_CHUNK, Chunk, Index, Pack  # noqa: E402
from sealift_manifests.media import Media  # noqa: E402
from sealift_manifests.parity import Parity  # noqa: E402
from sealift_manifests.rebuild import Rebuilder  # noqa: E402

ROUNDS = 3
PACKS = 10
RATIOS = ("1/20", "2/20", "4/20")


def make_packs(folder: Path, size: int) -> tuple[list[Pack], list[Chunk]]:
    """Write packs of `size` bytes each; return them and their chunks."""
    packs, chunks = [], []
    noise = np.random.default_rng(1)
    for number in range(PACKS):
        pack = Pack(f"data-{number + 1:04}.pack", size)
        with (folder / pack.name).open("wb") as file:
            for start in range(0, size, MAX_CHUNK):
                data = noise.bytes(MAX_CHUNK)
                digest = digest_of(data)
                rest = (RAW, 1, number, start, MAX_CHUNK, digest)
                chunks.append(Chunk(digest, MAX_CHUNK, *rest))
                file.write(data)
        packs.append(pack)
    return packs, chunks


def hash_all(folder: Path) -> None:
    """Read and hash all packs with one thread."""
    block = memoryview(bytearray(1 << 20))
    for path in sorted(folder.glob("*.pack")):
        state = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(block):
                state.update(block[:size])


def make(folder: Path, packs: list[Pack], ratio: Ratio) -> Parity:
    """Make parity beside the packs, in place of what is there."""
    target = DirectoryTarget(folder.parent / "unused")
    target.path.rmdir()
    target.path = folder
    for path in folder.glob("*.par"):
        path.unlink()
    return write_parity(target, packs, ratio, lambda size: None)[0]


def rebuild(folder: Path, index: Index, lost: int) -> None:
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
                    sys.exit("a chunk was not rebuilt")
    finally:
        for path in hidden:
            path.with_suffix(".hidden").rename(path)


def best(work: Callable[[], object]) -> float:
    """Return the least seconds of CPU time, of all threads, that the work took."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print one line for each ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=64, help="size of each of ten packs")
    parser.add_argument("--work", type=Path, default=Path("/dev/shm"))
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=args.work)) / "packs"
    folder.mkdir()
    try:
        packs, chunks = make_packs(folder, args.mib << 20)
        total = sum(pack.size for pack in packs)
        hashed = best(lambda: hash_all(folder))
        print(
            f"{PACKS} packs of {args.mib} MiB in {args.work}: "
            "MB of them for each second of CPU time"
        )
        print(f"SHA-256, one thread   {total / 1e6 / hashed:6.0f}")
        for text in RATIOS:
            ratio = Ratio.parse(text)
            made = best(partial(make, folder, packs, ratio))
            parity = make(folder, packs, ratio)
            index = Index(tuple(packs), tuple(chunks), {}, parity=parity)
            used = best(partial(rebuild, folder, index, ratio.files))
            print(
                f"{text:5} make            {total / 1e6 / made:6.0f}  "
                f"{made / hashed:.2f} of the time of SHA-256\n"
                f"{text:5} rebuild one pack{total / 1e6 / used:7.0f}  "
                f"{used / hashed:.2f}"
            )
    finally:
        shutil.rmtree(folder.parent)


if __name__ == "__main__":
    main()
