"""Measure Sealift against the tools used by hand, in the same run, on the same bytes.

Ours and the yardsticks take turns in every round; ratios are taken round by round, and
the median is judged by what is aimed at. Compare ratios between machines, not seconds;
on a busy machine look at the CPU time, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from . import (
    kept,
    report,
    suite_codecs,
    suite_growth,
    suite_images,
    suite_models,
    suite_parity,
    suite_scaling,
    suite_startup,
)
from .dtypes import FORMS
from .machine import facts
from .meter import CommandError
from .tools import ROOT, SYSTEM_PYTHON, Settings
from .values import Result, to_json

SUITES: dict[str, Callable[[Settings], Iterator[Result]]] = {
    "model": suite_models.model,
    "dtypes": suite_models.dtypes,
    "images": suite_images.images,
    "growth": suite_growth.growth,
    "scaling": suite_scaling.scaling,
    "startup": suite_startup.startup,
    "codecs": suite_codecs.codecs,
    "parity": suite_parity.parity,
}
KINDS = (*FORMS, "real", "files")


def main(words: Sequence[str] | None = None) -> int:
    """Run the suites, or write what was kept of earlier runs; return the exit code."""
    args = _parser().parse_args(words)
    if args.report:
        return kept.write(args.report, [Path(each) for each in args.what], args.into)
    if unknown := set(args.what) - set(SUITES):
        _say(f"no such suite: {', '.join(sorted(unknown))}; there are {list(SUITES)}")
        return 2
    settings = _settings(args)
    about = facts(settings) | {"command": f"scripts/bench {' '.join(_words(words))}"}
    if args.quick:
        about["inputs"] = "tiny (--quick): starting outweighs all; verdicts say nothing"
    with settings.work.with_name("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(
                f"another benchmark is at work in {settings.work}; name another --work"
            )
            return 1
        return _measure(args.what or list(SUITES), settings, about)


def _measure(names: Sequence[str], settings: Settings, about: dict[str, str]) -> int:
    """Run suites, keep raw numbers after each result, print all tables at the end."""
    results: list[Result] = []
    raw = settings.keep / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
    code = 0
    for name in names:
        begun = time.monotonic()
        try:
            for result in SUITES[name](settings):
                results.append(result)
                raw.write_text(json.dumps(to_json(about, results), indent=1))
        except (CommandError, OSError, subprocess.CalledProcessError) as error:
            _say(f"the suite {name} stopped: {error}")
            code = 1
        _say(f"{name}: {time.monotonic() - begun:.0f} s in all")
    print("\n".join(report.as_text(about, results)))
    print(f"\nraw numbers: {raw}" if results else "\nnothing was measured")
    return code


def _words(words: Sequence[str] | None) -> Sequence[str]:
    return sys.argv[1:] if words is None else words


def _settings(args: argparse.Namespace) -> Settings:
    work, keep = args.work.absolute(), args.keep.absolute()
    work.mkdir(parents=True, exist_ok=True)
    keep.mkdir(parents=True, exist_ok=True)
    return Settings(
        work=work / "work",
        keep=keep,
        python=args.python,
        rounds=args.rounds or (1 if args.quick else 3),
        warm=args.warm,
        quick=args.quick,
        peers=not args.no_peers,
        size=args.size,
        sizes=args.sizes,
        dtypes=tuple(args.dtype or ()),
        say=_say,
    )


def _parser() -> argparse.ArgumentParser:
    keep = ROOT / ".cache/bench"
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    add = parser.add_argument
    names = ", ".join(SUITES)
    add("what", nargs="*", help=f"suites, by default all: {names}; or raw JSON files")
    add(
        "--quick",
        action="store_true",
        help="small inputs, one round: does it all work?",
    )
    add("--size", type=float, metavar="GIB", help="of models, instead of the usual")
    add("--sizes", type=_sizes, default=(), metavar="GIB,GIB", help="of growth")
    add("--dtype", action="append", choices=KINDS, help="instead of the usual ones")
    add("--rounds", type=int, help="3 by default")
    add("--warm", action="store_true", help="keep what is read in the caches")
    add("--no-peers", action="store_true", help="without lmzip and modelferry")
    disk = "a disk with room for four of the largest model; /dev/shm leaves disks out"
    add("--work", type=Path, default=keep, metavar="DIR", help=disk)
    keeps = "for inputs and results"
    add("--keep", type=Path, default=keep, metavar="DIR", help=keeps)
    python = str(SYSTEM_PYTHON) if SYSTEM_PYTHON.exists() else sys.executable
    add("--python", default=python, help="what runs the installer")
    no_runs = "write tables of raw JSON files; nothing is measured"
    add("--report", choices=kept.FORMS, help=no_runs)
    add("--plan", action="store_const", const="plan", dest="report", help="the same")
    into = "put them into this document, between their marks"
    add("--into", type=Path, metavar="FILE", help=into)
    return parser


def _sizes(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
