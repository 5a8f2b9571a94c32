"""The suite `codecs`: chunks encoded and decoded, by one thread, in memory.

Compared with level 3 of python-zstandard on the same 8 MiB chunks; the two take turns
chunk by chunk. Nothing is read, hashed or written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import zstandard
from sealift_bundler.chunking import CHUNK_SIZE
from sealift_bundler.encode import encode
from sealift_manifests.codecs import decode
from sealift_manifests.zstd import library

from .dtypes import FORMS
from .tools import Settings
from .values import Result
from .weights import in_memory

WIDTHS = {"bf16": 2, "fp16": 2, "fp32": 4, "int8": 1, "fp8": 1, "int4": 4, "noise": 1}
"""Kinds of weights, and the bytes of an element as a build takes them."""

T = TypeVar("T")


class _Stopwatch:
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


def codecs(settings: Settings) -> Iterator[Result]:
    """Measure every kind of weights."""
    size = settings.bytes(1 / 4, 1 / 64)
    result = Result("codecs", f"{size >> 20} MiB of each kind, one thread", size)
    for kind, width in WIDTHS.items():
        settings.say(f"codecs: {kind}")
        data = in_memory(kind, size) if kind in FORMS else _noise(size)
        _measure(result, kind, data, width, settings.rounds)
    result.notes.append(
        f"ours: encode by zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))} with numpy "
        f"{np.__version__}, decode by {library()}"
    )
    yield result


def _noise(size: int) -> bytes:
    return np.random.default_rng(2).bytes(size)


def _measure(result: Result, kind: str, data: bytes, width: int, rounds: int) -> None:
    sizes, watches = (0, 0), []
    for _ in range(rounds):
        watches.append(_Stopwatch())
        sizes = _round(data, width, watches[-1])
    result.judge(f"{kind}: size / plain", sizes[0] / len(data))
    result.judge(f"{kind}: size by zstd -3 / plain", sizes[1] / len(data))
    for way in ("encode", "decode"):
        ours = [watch.seconds[way] for watch in watches]
        theirs = [watch.seconds[f"zstd {way}"] for watch in watches]
        speeds = [len(data) / 1e6 / seconds for seconds in ours]
        if kind != "noise":  # Nothing is done with it.
            result.judge(f"{kind}: {way}", *speeds, unit="MB/s")
        times = [b / a for a, b in zip(ours, theirs, strict=True)]
        result.judge(f"{kind}: {way}, times as fast as zstd -3", *times)


def _round(data: bytes, width: int, watch: _Stopwatch) -> tuple[int, int]:
    """Encode and decode all chunks; return the sizes of both ways to store them."""
    compress = zstandard.ZstdCompressor(level=3).compress
    decompress = zstandard.ZstdDecompressor().decompress
    ours = theirs = 0
    for at in range(0, len(data), CHUNK_SIZE):
        chunk = memoryview(data)[at : at + CHUNK_SIZE]
        made = watch.time("encode", encode, chunk, width)
        stored = (made.codec, made.stored, len(chunk), made.width)
        plain = watch.time("decode", decode, *stored)
        frame = watch.time("zstd encode", compress, chunk)
        watch.time("zstd decode", decompress, frame)
        if plain != chunk:
            raise ValueError("a chunk did not come back as it was")
        ours, theirs = ours + len(made.stored), theirs + len(frame)
    return ours, theirs
