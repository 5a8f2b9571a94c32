"""The suite `scaling`: more workers, with source and sink in memory.

Each command runs on one core, then on more, held there by `taskset`. What it takes on a
model of almost nothing is taken off first: that is starting, not throughput.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .amdahl import FORMULA, fitted
from .models import OURS, ModelBench
from .peers import no_peers
from .rounds import run_once
from .tools import CORES, Settings, Site, size_of
from .values import Case, Result
from .weights import make_model

MEMORY = Path("/dev/shm")
PROJECTED = (16, 64)
CHAINED = ("build", "install")
"""What hashes each file from end to end; the others hash chunks, side by side."""

_TINY = 1 << 20
_GB = 10**9


def scaling(settings: Settings) -> Iterator[Result]:
    """Measure ours on one core and on more, and project."""
    root = MEMORY / f"sealift-bench-{os.getpid()}"
    try:
        size = settings.bytes(1)
        settings.say("making the inputs in memory: bf16")
        tiny = make_model(root, _TINY, "bf16")
        large = make_model(root, size, "bf16")
        steps = core_steps(CORES)
        small = Result("scaling", "almost nothing", size_of(tiny))
        result = Result("scaling", f"bf16, {size / 2**30:.3f} GiB", size_of(large))
        for number in range(settings.rounds):
            settings.say(f"{result.title}: round {number + 1} of {settings.rounds}")
            for model, into in ((tiny, small), (large, result)):
                for cores in steps:
                    _run(
                        into,
                        Site(root / "site", settings.python),
                        model,
                        cores,
                        settings,
                    )
    finally:
        shutil.rmtree(root, ignore_errors=True)
    _judge(result, small, steps)
    yield result


def core_steps(cores: int) -> list[int]:
    """Return the numbers of cores to measure: 1, 2, 4 and so on, and all."""
    steps = [1 << n for n in range(cores.bit_length()) if 1 << n < cores]
    return [*steps, cores]


def named(name: str, cores: int) -> str:
    """Return what a case is called on so many cores."""
    return f"{name} on {cores} core{'s' if cores > 1 else ''}"


def _run(into: Result, site: Site, model: Path, cores: int, settings: Settings) -> None:
    shutil.rmtree(site.root, ignore_errors=True)
    site.root.mkdir()
    bench = ModelBench(site, model, no_peers(site.root))
    bench.prepare()
    for case in (c for c in _ours(bench) if c.name in OURS):
        held = on_cores(case, cores)
        run_once(into, held, settings.say, warm=True)
    shutil.rmtree(site.root)


def _ours(bench: ModelBench) -> Iterator[Case]:
    yield bench.build()
    yield from bench.using()
    yield from bench.auditing()


def on_cores(case: Case, cores: int) -> Case:
    """Return the same case, held to some of the cores that there are."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    words = ["taskset", "-c", ",".join(map(str, allowed)), *case.command]
    return replace(case, name=named(case.name, cores), command=words)


def sha256_seconds(size: int = 256 << 20) -> float:
    """Return how long one core hashes a gigabyte."""
    block, begun = bytes(1 << 20), time.perf_counter()
    state = hashlib.sha256()
    for _ in range(size >> 20):
        state.update(block)
    return (time.perf_counter() - begun) / size * _GB


def _judge(result: Result, small: Result, steps: list[int]) -> None:
    chain = min(sha256_seconds() for _ in range(3))
    result.judge("SHA-256 on one core, seconds per GB", chain, unit="s")
    bytes_more = (result.plain - small.plain) / _GB
    for name in OURS:
        each = [
            (
                n,
                max(_least(result, name, n) - _least(small, name, n), 1e-9)
                / bytes_more,
            )
            for n in steps
        ]
        law = fitted(each, chain if name in CHAINED else 0.0)
        starting = _least(small, name, steps[-1])
        if each[-1][1] > each[0][1]:
            result.notes.append(f"{name}: slower on more cores; was the machine busy?")
        result.judge(f"{name}: starting and ending", starting, unit="s")
        for cores, seconds in each:
            result.judge(named(f"{name}: throughput", cores), 1 / seconds, unit="GB/s")
        result.judge(f"{name}: s, serial, per GB", law.serial, unit="s")
        result.judge(f"{name}: p, shared out, per GB", law.shared, unit="s")
        for cores in PROJECTED:
            title = named(f"{name}: projected", cores)
            result.judge(title, 1 / max(law.seconds(cores), 1e-9), unit="GB/s")
        if name in CHAINED or law.serial:
            result.notes.append(f"{name}: with cores without end {law.bound} is left")
        result.figures |= {
            f"{name} serial": law.serial,
            f"{name} shared": law.shared,
            f"{name} chain": law.chain,
            f"{name} start": starting,
        }
    result.notes += _explained()


def _least(result: Result, name: str, cores: int) -> float:
    """Return the time of the run that was disturbed least."""
    return min(run.wall for run in result.runs[named(name, cores)])


def _explained() -> list[str]:
    return [
        "throughput is that of the fastest round, without starting and ending",
        f"projected by Amdahl's law: a GB takes {FORMULA} seconds on n cores; c is the "
        "chain of SHA-256 through one file, for build and install",
        "what lifts c: files side by side (each has a chain of its own), or a "
        "processor that hashes faster; what lifts s: less work under Python's "
        "interpreter lock (worker processes, or C that lets go of it)",
        "projected figures leave out disks, memory bandwidth and the cap on workers",
    ]
