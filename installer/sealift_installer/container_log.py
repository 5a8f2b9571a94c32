"""What containers wrote: read through the engine, also of those that died."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional, Tuple

from sealift_manifests.errors import EngineError

from sealift_installer.composed import name_of, service_of
from sealift_installer.engine import Engine, name_in_path, printable, with_query

LAST_LINES = 20
_LAST_BYTES = 1 << 20
"""Of the lines that were asked for, the end that is kept."""

_MOST_BYTES = 64 << 20
"""What is read of them at most: a container may write faster than it is read."""

_LINE = 400
_LONGEST = 1 << 20
_PIECE = 1 << 16
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class LogLine:
    """A line of a container's log. `time` is the engine's own text."""

    service: str
    container: str
    time: str
    text: str


class Unframed:
    """Takes a container's log apart: number of the stream, three zeros, size, bytes.

    What a terminal wrote comes without frames.
    """

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """Return what was written, as far as it has come."""
        if self._terminal:
            return data
        self._kept += data
        pieces, at = [], 0
        while at + 8 <= len(self._kept):
            end = at + 8 + int.from_bytes(self._kept[at + 4 : at + 8], "big")
            if end > len(self._kept):
                break
            pieces.append(self._kept[at + 8 : end])
            at = end
        self._kept = self._kept[at:]
        return b"".join(pieces)

    @property
    def rest(self) -> bytes:
        """What has come of a frame that was cut off."""
        return self._kept[8:]


def without_colours(text: str) -> str:
    """Return what a program wrote for a terminal without its colours."""
    return _COLOURS.sub("", text)


def last_log_lines(
    engine: Engine, container: str, lines: int = LAST_LINES
) -> Tuple[str, ...]:
    """Return the last lines a container wrote, fit for a terminal."""
    query = {"stdout": "1", "stderr": "1", "tail": str(lines)}
    path = f"/containers/{name_in_path(container)}"
    try:
        frames = Unframed(terminal=_has_terminal(engine.get(f"{path}/json")))
        with engine.request("GET", with_query(f"{path}/logs", **query)) as answer:
            data, read = b"", 0
            while read < _MOST_BYTES:
                piece = answer.read(_PIECE)
                if not piece:
                    break
                read += len(piece)
                data = (data + frames.feed(piece))[-_LAST_BYTES:]
    except EngineError:
        return ()  # Its log driver keeps nothing that can be read back.
    text = (data + frames.rest).decode("utf-8", "replace")
    found = [
        printable(without_colours(line.rstrip("\r")), _LINE)
        for line in text.split("\n")
    ]
    return tuple([line for line in found if line][-lines:])


def log_lines(
    engine: Engine,
    shown: Mapping[str, Any],
    *,
    tail: str = "all",
    since: Optional[float] = None,
    follow: bool = False,
) -> Iterator[LogLine]:
    """Yield the lines of a container, oldest first; with `follow` also those to come.

    `tail` is a number of lines or "all", `since` a time in seconds since 1970.
    """
    query = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": tail}
    if since is not None:
        query["since"] = f"{since:.6f}"
    if follow:
        query["follow"] = "1"
    path = with_query(f"/containers/{shown['Id']}/logs", **query)
    frames, kept = Unframed(terminal=_has_terminal(shown)), b""
    with engine.request("GET", path, timeout=None if follow else 60.0) as answer:
        while True:
            piece = answer.read_some(_PIECE)
            if not piece:
                break
            *whole, kept = (kept + frames.feed(piece)).split(b"\n")
            for line in whole:
                yield _line(shown, line)
            if len(kept) > _LONGEST:
                yield _line(shown, kept)
                kept = b""
    if kept + frames.rest:
        yield _line(shown, kept + frames.rest)


def _line(shown: Mapping[str, Any], data: bytes) -> LogLine:
    time, _, text = data.decode("utf-8", "replace").rstrip("\r").partition(" ")
    return LogLine(
        service_of(shown), name_of(shown), printable(time, 40), without_colours(text)
    )


def _has_terminal(shown: Mapping[str, Any]) -> bool:
    return bool((shown.get("Config") or {}).get("Tty"))
