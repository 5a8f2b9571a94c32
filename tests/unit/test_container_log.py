"""What is shown of a container's log: its true end, without colours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from sealift_installer.container_log import last_log_lines, log_lines

RED, PLAIN = "\x1b[2;31m", "\x1b[0m"
LONG = "x" * 100_000


class AnEngine:
    """An engine that keeps the log of one container, framed as engines do."""

    def __init__(self, *lines: str) -> None:
        self.log = b"".join(map(_frame, lines))

    def get(self, path: str) -> object:
        return {"Config": {"Tty": False}}

    @contextmanager
    def request(self, *_: object, **__: object) -> Iterator[object]:
        body = io.BytesIO(self.log)
        yield SimpleNamespace(read=body.read, read_some=body.read)


def _frame(line: str) -> bytes:
    data = f"{line}\n".encode()
    return b"\x02\0\0\0" + len(data).to_bytes(4, "big") + data


def test_the_last_lines_are_the_last_also_after_much_that_is_long():
    log = [LONG] * 100 + ["RuntimeError: the end"]

    lines = last_log_lines(AnEngine(*log), "acme-llm-1", 500)

    assert lines[-1] == "RuntimeError: the end"
    # No more of it is kept than a mebibyte.
    assert 2 < len(lines) <= 12


def test_colours_are_left_out_and_what_else_moves_a_terminal_is_shown():
    engine = AnEngine(f"2026-11-01T12:00:00Z {RED}INFO{PLAIN} loading\x1b]0;title")

    (last,) = last_log_lines(engine, "acme-llm-1")
    (line,) = log_lines(engine, {"Id": "1", "Name": "/acme-llm-1"})

    assert last == "2026-11-01T12:00:00Z INFO loading\\x1b]0;title"
    assert line.text == "INFO loading\x1b]0;title"
