"""What the user of `sealift` sees while it works: steps and progress bars."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sealift_manifests.sizes import human
from tqdm import tqdm

_PLAIN_INTERVAL = 10.0


class Report:
    """Steps and progress, on standard error; silent when `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def step(self, text: str) -> None:
        """Say what is being done or was found."""
        if not self._quiet:
            tqdm.write(text, file=sys.stderr)

    def detail(self, line: str) -> None:
        """Say a line of another program's output, set apart."""
        self.step(f"  | {line}")

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Give a function to be told of bytes done.

        A bar on a terminal; elsewhere a line every ten seconds at most.
        """
        if not sys.stderr.isatty():
            yield _PlainMeter(self, label, total).add
            return
        with tqdm(
            total=total,
            desc=label,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            file=sys.stderr,
            disable=self._quiet,
            mininterval=0.2,
        ) as bar:

            def add(size: int) -> None:
                bar.update(size)

            yield add


class _PlainMeter:
    """Progress for logs: whole lines, and none for what is done soon."""

    def __init__(self, report: Report, label: str, total: int) -> None:
        self._report = report
        self._label = label
        self._total = total
        self._done = 0
        self._shown = time.monotonic()

    def add(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if now - self._shown >= _PLAIN_INTERVAL:
            self._shown = now
            self._report.step(
                f"{self._label}: {human(self._done)} of {human(self._total)}"
            )


def counted(number: int, thing: str) -> str:
    """Return a number of things for people: `1 pack`, `2 packs`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
