"""An input of many small files, such as come with a model, or are one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

_TYPICAL, _LARGEST = 6000, 200_000
_PER_FOLDER = 200
_KINDS = ("json", "txt", "bin")


def make_tree(folder: Path, count: int) -> Path:
    """Return a directory of `count` small files; make it once.

    Sizes are spread log-normally; one file of three is bytes that do not compress.
    """
    final = folder / f"files-{count}"
    if final.exists():
        return final
    unfinished = folder / f".{final.name}.partial"
    shutil.rmtree(unfinished, ignore_errors=True)
    random = np.random.default_rng(1)
    words = [random.bytes(int(n)).hex() for n in random.integers(1, 8, 2000)]
    sizes = random.lognormal(np.log(_TYPICAL), 1, count).clip(1, _LARGEST).astype(int)
    for number, size in enumerate(sizes):
        kind = _KINDS[number % len(_KINDS)]
        place = unfinished / f"{number // _PER_FOLDER:03}"
        place.mkdir(parents=True, exist_ok=True)
        data = _content(kind, int(size), words, random)
        (place / f"{number:05}.{kind}").write_bytes(data)
    unfinished.rename(final)
    return final


def _content(
    kind: str, size: int, words: list[str], random: np.random.Generator
) -> bytes:
    if kind == "bin":
        return random.bytes(size)
    chosen = [words[n] for n in random.zipf(1.3, size // 8 + 1) % len(words)]
    if kind == "json":
        return json.dumps(dict(enumerate(chosen)), indent=1).encode()[:size]
    return " ".join(chosen).encode()[:size]
