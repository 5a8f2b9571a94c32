"""The suites `model` and `dtypes`: weights, from the spec to the audit, and judged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from hosts import find_model

from . import entropy, smallfiles
from .hub import serving
from .models import (
    BACK,
    BEST,
    BY_HAND,
    CHECK,
    CP,
    CP_HELD,
    FERRY,
    HELD,
    LMZ,
    OF_BUNDLE,
    OF_WEIGHTS,
    OURS,
    TAR,
    UNFERRY,
    UNLMZ,
    WITH_NUMPY,
    ModelBench,
)
from .peers import install_peers, no_peers
from .rounds import run_rounds
from .throttle import NoThrottleError, held_to
from .tools import Settings, Site, size_of
from .values import Result
from .weights import make_model

MEDIUM = 400_000_000
"""Bytes per second that a slow medium gives."""

SIZE_AIMS = {"bf16": 0.672, "bf16-gauss": 0.672}
SMALLER_THAN_BEST = ("fp16", "fp32")
MEMORY_AIM = 400.0
"""MiB, all processes together."""

ONCE = 1.01
"""How often a byte is moved that is moved once."""

OF_ITSELF = 10 << 20
"""Bytes that a Python program reads of itself and its library."""

NO_EXTRA = 0.005
"""Of the model, what counts as no disk space."""

PART = 16 << 20
"""Bytes that are given to the slowest compressor."""

MANY = 20_000
"""Small files, of about 200 MB together."""

LARGE = ("bf16-gauss",)
"""What is measured at the size of the suite `model`, to be compared with it."""

OTHERS = ("bf16-gauss", "fp16", "fp32", "fp8", "int4", "real", "files")
QUICK = ("fp16", "files")


def model(settings: Settings) -> Iterator[Result]:
    """Measure the models of `--dtype` with every yardstick there is."""
    for dtype in settings.dtypes or ("bf16",):
        yield _measured("model", dtype, settings.bytes(2), settings)


def dtypes(settings: Settings) -> Iterator[Result]:
    """Measure other weights, a real model, and many small files."""
    usual = QUICK if settings.quick else OTHERS
    for dtype in settings.dtypes or usual:
        usual_size = 2 if dtype in LARGE else 0.5
        size = settings.bytes(usual_size, 1 / 64)
        yield _measured("dtypes", dtype, size, settings)


def make_input(kind: str, size: int, folder: Path) -> Path:
    """Return a directory with a model of this kind: weights, `real`, or `files`."""
    if kind == "real":
        return find_model()
    if kind == "files":
        return smallfiles.make_tree(folder, min(MANY, MANY * size // 2**29))
    return make_model(folder, size, kind)


def _measured(suite: str, kind: str, size: int, settings: Settings) -> Result:
    whole = suite == "model"
    settings.say(f"making the input: {kind}")
    source = make_input(kind, size, settings.inputs)
    plain = size_of(source)
    result = Result(suite, f"{kind}, {plain / 2**30:.3f} GiB", plain)
    peers = no_peers(settings.keep)
    if settings.peers:
        peers = install_peers(settings.keep / "peers", settings.say)
        result.notes += peers.missing
    site = Site(settings.scratch("model"), settings.python)
    bench = ModelBench(site, source, peers, whole=whole)
    if whole or kind in SMALLER_THAN_BEST:
        bench.part = min(PART, plain // 8)
    result.notes += bench.notes()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, site.root, ignore_errors=True)
        bench.prepare()
        if whole:
            _add_surroundings(bench, result, settings, stack)
        rounds, say = settings.rounds, settings.say
        run_rounds(result, bench.cases, rounds, say, warm=settings.warm)
    result.figures = dict(bench.facts)
    _judge_size(result, kind, source)
    _judge_times(result)
    judge_use(result, aimed=whole)
    return result


def _add_surroundings(
    bench: ModelBench, result: Result, settings: Settings, stack: ExitStack
) -> None:
    """Give the slow medium, and a Hub for modelferry."""
    try:
        if settings.warm:
            raise NoThrottleError("with --warm, nothing is read from it")
        bench.throttle = stack.enter_context(held_to(MEDIUM, bench.work))
        result.notes.append(f"400 MB/s: {bench.throttle.about}, for both")
    except NoThrottleError as error:
        result.notes.append(f"left out, a medium held to 400 MB/s: {error}")
    if "modelferry" in bench.peers.versions:
        bench.hub = stack.enter_context(serving(bench.model))


def _judge_size(result: Result, kind: str, source: Path) -> None:
    """Judge how small the bundle is, by what else there is."""
    plain, facts = result.plain, result.figures
    ratio = facts["stored"] / plain
    result.judge("size of the bundle / plain", ratio, aim=SIZE_AIMS.get(kind))
    if kind in entropy.WIDTHS:
        bound = entropy.of_planes(source, entropy.WIDTHS[kind])
        result.judge("order-0 entropy of its byte planes / plain", bound)
    for name in (TAR, LMZ):
        if result.has(name):
            result.judge(f"size by {name} / plain", result.middle(name, "disk") / plain)
    if not result.has(BEST):
        return
    part = f"{facts['part'] / 2**20:.0f} MiB"
    best, wanted = result.middle(BEST, "disk"), kind in SMALLER_THAN_BEST
    sizes = facts["part stored"] / best
    title = f"size of {part} in the bundle / (the same bytes by zstd -19)"
    result.judge(title, sizes, aim=1.0 if wanted else None)
    speed = plain / result.middle("build") / (facts["part"] / result.middle(BEST))
    title = f"bytes per second: build / (zstd -T0 -19 of {part})"
    result.judge(title, speed, aim=10.0 if wanted else None, at_least=True)


def _judge_times(result: Result) -> None:
    """Compare the times of ours with those of the yardsticks."""
    is_main = result.title.startswith("bf16,")

    def aim(value: float) -> float | None:
        return value if is_main else None

    result.compare("build", BY_HAND, aim(0.40))
    result.compare("build", TAR, aim(0.75))
    result.compare("build", LMZ, aim(1.0))
    result.compare("build", FERRY)
    result.compare("verify", OF_BUNDLE, aim(1.1))
    result.compare("verify", CHECK)
    result.compare("install", CP, aim(1.6))
    result.compare("install", BACK)
    result.compare("install", UNLMZ)
    result.compare("install", UNFERRY)
    result.compare("install", WITH_NUMPY, aim(1.5))
    result.compare(HELD, CP_HELD, aim(0.75))
    result.compare("audit", OF_WEIGHTS, aim(1.1))


def judge_use(result: Result, *, aimed: bool) -> None:
    """Judge memory, disk, and how often each byte is read and written.

    Small inputs are not `aimed` at: what goes with a bundle is large beside them.
    """
    runs, plain, stored = result.runs, result.plain, result.figures["stored"]
    peaks = [max(run.memory for run in runs[name]) / 2**20 for name in OURS]
    title = f"peak memory: the most of {', '.join(OURS)}"
    result.judge(title, max(peaks), unit="MiB", aim=MEMORY_AIM)
    extra = [
        max(0, run.most_disk - run.disk) / plain
        for name in ("build", "install")
        for run in runs[name]
    ]
    result.judge("extra disk / plain", max(extra), aim=NO_EXTRA if aimed else None)
    install, once = runs["install"], ONCE if aimed else None
    read = (run.read / (stored + OF_ITSELF) for run in install)
    title = f"bytes that install reads / (bundle, {OF_ITSELF >> 20} MiB of Python)"
    result.judge(title, *read, aim=once)
    written = (run.written / plain for run in install)
    result.judge("bytes that install writes / plain", *written, aim=once)
