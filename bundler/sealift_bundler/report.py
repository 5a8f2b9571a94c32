"""What the user of `sealift` sees while it works: steps and progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from tqdm import tqdm

from sealift_bundler.progress import (
    BarDisplay,
    Display,
    JsonDisplay,
    Meter,
    NoDisplay,
    PlainDisplay,
    say_json,
)


class Style(StrEnum):
    """How progress is shown; `auto` is a bar on a terminal, and plain elsewhere."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"


class Report:
    """Steps and progress, on standard error; silent when `quiet`."""

    def __init__(self, *, quiet: bool = False, style: Style = Style.AUTO) -> None:
        self._quiet = quiet
        self._style = style

    def step(self, text: str, **facts: Any) -> None:
        """Say what is being done or was found; `facts` are for programs."""
        if self._quiet:
            return
        if self._style is Style.JSON:
            say_json("step", text=text, **facts)
        else:
            tqdm.write(text, file=sys.stderr)

    def detail(self, line: str) -> None:
        """Say a line of another program's output, set apart."""
        self.step(f"  | {line}")

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Meter]:
        """Give a meter to be told of bytes done, and of what is in work."""
        with Meter(label, total, self._display()).running() as meter:
            yield meter

    def _display(self) -> Display:
        if self._quiet:
            return NoDisplay()
        if self._style is Style.JSON:
            return JsonDisplay()
        if self._style is Style.PLAIN or not sys.stderr.isatty():
            return PlainDisplay(self.step)
        return BarDisplay()
