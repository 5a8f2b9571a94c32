"""The suite `growth`: how time, memory and disk grow with the size of a model.

The smaller models are the first shards of the largest, so that all are of one kind.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from .models import CP, OF_BUNDLE, OF_WEIGHTS, OURS, ModelBench
from .peers import no_peers
from .rounds import run_rounds
from .suite_models import judge_use
from .tools import Settings, Site, size_of
from .values import Case, Result
from .weights import make_model, part_of

SIZES = (1, 2, 4, 8)
QUICK = (1 / 64, 1 / 32)
FLAT = 1.1
"""What counts as memory that does not grow."""


def growth(settings: Settings) -> Iterator[Result]:
    """Measure ours at every size, and then what the largest is to the smallest."""
    sizes = sorted(settings.sizes or (QUICK if settings.quick else SIZES))
    unit = sizes[0]
    shards = [round(size / unit) for size in sizes]
    settings.say(f"making the input: bf16, {sizes[-1]:g} GiB")
    whole = int(shards[-1] * unit * 2**30)
    source = make_model(settings.inputs, whole, "bf16", shards[-1])
    results = []
    for count in shards:
        results.append(_measured(settings, source, count))
        yield results[-1]
    # Too large to be kept for another time.
    shutil.rmtree(source)
    yield _compared(results[0], results[-1])


def _measured(settings: Settings, source: Path, shards: int) -> Result:
    root = settings.scratch("growth")
    try:
        model = part_of(source, root / "model", shards)
        plain = size_of(model)
        bench = ModelBench(Site(root, settings.python), model, no_peers(root))
        bench.prepare()
        result = Result("growth", f"bf16, {plain / 2**30:.3f} GiB", plain)

        def cases() -> Iterator[Case]:
            yield bench.build()
            yield from bench.using()
            yield from bench.auditing()

        run_rounds(result, cases, settings.rounds, settings.say, warm=settings.warm)
    finally:
        shutil.rmtree(root)
    result.figures = {"stored": bench.facts["stored"], "index": bench.facts["index"]}
    result.compare("verify", OF_BUNDLE)
    result.compare("install", CP)
    result.compare("audit", OF_WEIGHTS)
    judge_use(result, aimed=True)
    return result


def _compared(small: Result, large: Result) -> Result:
    """Compare the largest with the smallest: seconds per byte, and memory."""
    title = f"{large.title} / {small.title}"
    result = Result("growth", title, large.plain)
    times = large.plain / small.plain
    for name in OURS:
        seconds = large.middle(name) / small.middle(name) / times
        result.judge(f"{name}: seconds per byte", seconds)
    for name in OURS:
        memory = large.middle(name, "memory") / small.middle(name, "memory")
        result.judge(f"{name}: peak memory", memory, aim=FLAT)
    return result
