"""Kill each side of Sealift at random instants, run it again, and look for torn states.

A side is a module with a function `torture(task)` that returns its Tally. The exit code
is 1 when anything was torn, or when fewer runs were killed than asked for.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import builds
import installs
from tally import Task

SIDES = {"build": builds.torture, "install": installs.torture}


def main() -> int:
    """Run the torture; return its exit code."""
    args = _arguments()
    seed = args.seed if args.seed is not None else random.randrange(2**32)
    _say(f"seed {seed}")
    bad = False
    for side in args.sides or SIDES:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(dir=args.work, prefix="torture-") as work:
            task = Task(args.kills, random.Random(f"{seed} {side}"), Path(work), _say)
            tally = SIDES[side](task)
        tally.seconds = time.monotonic() - begun
        print("\n".join(tally.lines()))
        bad = bad or bool(tally.torn) or tally.kills < args.kills
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("kills", type=int, metavar="N", help="kills of each side")
    parser.add_argument("sides", nargs="*", metavar="SIDE", help=", ".join(SIDES))
    parser.add_argument("--seed", type=int, help="to do the same again, nearly")
    parser.add_argument("--work", type=Path, metavar="DIR", help="a disk with room")
    args = parser.parse_args()
    if unknown := set(args.sides) - set(SIDES):
        parser.error(f"no such side: {', '.join(sorted(unknown))}")
    return args


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
