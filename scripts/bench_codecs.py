"""Measure the chunk codecs against `zstd -3` on the same bytes in the same run.

One thread, 8 MiB chunks, the two taking turns chunk by chunk, the best of three rounds.
Weights are made up (Gaussian, standard deviation 0.02); real ones differ a little.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "manifests"), str(ROOT / "bundler")]

import numpy as np  # noqa: E402
import zstandard  # noqa: E402
from sealift_bundler.chunking import CHUNK_SIZE  # noqa: E402
from sealift_bundler.encode import encode  # noqa: E402
from sealift_manifests.codecs import decode  # noqa: E402
from sealift_manifests.zstd import library  # noqa: E402

ROUNDS = 3
T = TypeVar("T")


def kinds(size: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield name, element width and `size` bytes of each kind of weights."""
    normal = np.random.default_rng(1).standard_normal(size, dtype=np.float32)
    weights = normal * np.float32(0.02)
    bits = weights.view(np.uint32)
    yield "bf16", 2, (bits[: size // 2] >> 16).astype("<u2").tobytes()
    yield "fp16", 2, weights[: size // 2].astype("<f2").tobytes()
    yield "fp32", 4, weights[: size // 4].tobytes()
    yield "int8", 1, np.clip(normal * 32, -127, 127).astype("i1").tobytes()
    # Sign, 4 exponent and 3 mantissa bits of a float32: what fp8 e4m3 keeps.
    sign_and_rest = (bits >> 24 & 0x80) | (bits >> 20 & 0x7F)
    yield "fp8-like", 1, sign_and_rest.astype("u1").tobytes()
    yield "noise", 1, np.random.default_rng(2).bytes(size)


class Stopwatch:
    """Adds up the time spent on each of several kinds of work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, work: Callable[..., T], *args: object) -> T:
        """Do the work and count the time it took under `name`."""
        start = time.perf_counter()
        done = work(*args)
        spent = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + spent
        return done


def measure(data: bytes, width: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the ratios and the best seconds, both by the name of the work."""
    compress = zstandard.ZstdCompressor(level=3).compress
    decompress = zstandard.ZstdDecompressor().decompress
    rounds = []
    for _ in range(ROUNDS):
        sizes, watch = {"ours": 0, "zstd": 0}, Stopwatch()
        for at in range(0, len(data), CHUNK_SIZE):
            chunk = memoryview(data)[at : at + CHUNK_SIZE]
            ours = watch.time("ours in", encode, chunk, width)
            stored = (ours.codec, ours.stored, len(chunk), ours.width)
            plain = watch.time("ours out", decode, *stored)
            frame = watch.time("zstd in", compress, chunk)
            watch.time("zstd out", decompress, frame)
            if plain != chunk:
                sys.exit("a chunk did not come back as it was")
            sizes["ours"] += len(ours.stored)
            sizes["zstd"] += len(frame)
        rounds.append(watch.seconds)
    best = {name: min(r[name] for r in rounds) for name in rounds[0]}
    return {name: size / len(data) for name, size in sizes.items()}, best


def main() -> None:
    """Print one line for each kind of weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="how much of each kind")
    size = parser.parse_args().mib << 20
    print(
        f"{size >> 20} MiB of each kind, one thread, best of {ROUNDS} rounds, MB/s of "
        f"plain bytes\nours: encode by zstd {zstandard.ZSTD_VERSION} with numpy "
        f"{np.__version__}, decode by {library()}; compared with level 3 of "
        f"python-zstandard {zstandard.__version__} on the same 8 MiB chunks"
    )
    print("kind      | ours: ratio   in    out | zstd: ratio   in    out | faster in")
    for name, width, data in kinds(size):
        ratio, seconds = measure(data, width)
        speed = {work: size / 1e6 / spent for work, spent in seconds.items()}
        print(
            f"{name:9} | {ratio['ours']:11.4f} {speed['ours in']:5.0f} "
            f"{speed['ours out']:6.0f} | {ratio['zstd']:11.4f} {speed['zstd in']:5.0f} "
            f"{speed['zstd out']:6.0f} | {speed['ours in'] / speed['zstd in']:.1f}x"
        )


if __name__ == "__main__":
    main()
