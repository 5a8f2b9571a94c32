"""Measure build, install, verify and audit against the tools used by hand.

Each command of ours and its yardstick run in the same round, one after the other;
the ratios are taken round by round. Compare ratios between machines, not seconds; on
a busy machine, look at the CPU time, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

import table
from cases import Bench
from machine import facts
from meter import CommandError
from weights import DTYPES, make_model

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the benchmark; return its exit code."""
    args = _arguments()
    model = make_model(args.keep / "models", int(args.size * 2**30), args.dtype)
    size = sum(file.stat().st_size for file in model.iterdir())
    bench = Bench(model, args.work.absolute() / "run", args.python, args.warm)
    _say(f"model: {args.dtype}, {size / 2**30:.2f} GiB in 4 safetensors shards")
    try:
        bench.prepare()
        about = facts(bench.work, args.python)
        for number in range(args.rounds):
            _say(f"round {number + 1} of {args.rounds}")
            bench.round(_say)
        bundle = sum(file.stat().st_size for file in bench.bundle.iterdir())
    except CommandError as error:
        _say(str(error))
        return 1
    finally:
        shutil.rmtree(bench.work, ignore_errors=True)
    about["model"] = f"{args.dtype}, {size} bytes"
    about["caches"] = (
        "warm: what a command reads may be in memory"
        if args.warm
        else "dropped: what a command reads is not in memory when it starts"
    )
    about["rounds"] = str(args.rounds)
    print("\n".join(f"{name}: {value}" for name, value in about.items()), end="\n\n")
    print("\n".join(table.lines(bench.runs, size, bundle)))
    runs = {name: [asdict(run) for run in each] for name, each in bench.runs.items()}
    raw = {"about": about, "model": size, "bundle": bundle, "runs": runs}
    path = args.keep / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
    path.write_text(json.dumps(raw, indent=1), encoding="utf-8")
    print(f"\nraw numbers: {path}")
    return 0


def _arguments() -> argparse.Namespace:
    keep = ROOT / ".cache/bench"
    system = Path("/usr/bin/python3")
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--size", type=float, default=2, metavar="GIB")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--warm", action="store_true", help="do not drop what is read from the caches"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=keep,
        metavar="DIR",
        help="a disk with room for six models; /dev/shm leaves the disk out",
    )
    parser.add_argument(
        "--keep", type=Path, default=keep, metavar="DIR", help="for models and results"
    )
    parser.add_argument(
        "--python",
        default=str(system) if system.exists() else sys._base_executable,
        help="what runs the installer",
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
