"""What the user of `sealift` sees while it works: steps and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


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
        terminal = sys.stderr.isatty()
        with tqdm(
            total=total,
            desc=label,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            file=sys.stderr,
            disable=self._quiet,
            leave=terminal,
            mininterval=0.2 if terminal else 10,
            maxinterval=10 if terminal else 60,
        ) as bar:

            def add(size: int) -> None:
                bar.update(size)

            yield add


def human(size: int) -> str:
    """Return a number of bytes for people."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} TiB"
