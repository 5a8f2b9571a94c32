"""Ask a service over HTTP, with every CPython there is: their http.clients differ."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import hosts
import pytest

ROOT = Path(__file__).resolve().parents[2]
OK, CHUNKED = b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n"
LENGTH, CLOSE = b"Content-Length: 5\r\n", b"Connection: close\r\n"
HEAD = OK + CHUNKED + b"\r\n"
WHOLE = {
    "length": OK + LENGTH + b"\r\nParis",
    "length and close": OK + LENGTH + CLOSE + b"\r\nParis",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\nParis",
    "HTTP/1.0 without a length": b"HTTP/1.0 200 OK\r\n\r\nParis",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + LENGTH + b"\r\nParis",
    "chunks and close": OK + CHUNKED + CLOSE + b"\r\n5\r\nParis\r\n0\r\n\r\n",
    "trailers": HEAD + b"5\r\nParis\r\n0\r\na: b\r\n\r\n",
}
EMPTY = {
    "nothing and close": OK + b"Content-Length: 0\r\n" + CLOSE + b"\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n" + CLOSE + b"\r\n",
}
ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "headers": (OK, b"a: b\r\n"),
    "continue without end": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunk size": (HEAD, b"0"),
    "chunks": (HEAD, b"1\r\nP\r\n"),
    "trailers without end": (HEAD + b"5\r\nParis\r\n0\r\n", b"a: b\r\n"),
    "body": (OK + CLOSE + b"\r\n", b"P"),
}
"""What comes first, and what then comes again and again, with pauses between."""

_PAUSE, _DRIPS = 0.05, 90
"""With the first a header line too many (100) never comes before the time is up."""

PROGRAM = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
sys.path[:0] = sys.argv[1:3]
from sealift_installer.asking import AskError, ask
from sealift_installer.reach import Address

def told(case):
    name, port, within = case
    try:
        reply = ask(Address("127.0.0.1", port), "GET", "/health", within)
        return name, [reply.status, reply.body.decode()]
    except AskError as error:
        return name, str(error)

cases = json.loads(sys.argv[3])
with ThreadPoolExecutor(len(cases)) as pool:
    print(json.dumps(dict(pool.map(told, cases))))
"""


def answer(listener: socket.socket, pieces: Iterator[bytes]) -> None:
    with suppress(OSError), listener.accept()[0] as wire:
        wire.recv(1 << 16)
        for piece in pieces:
            wire.sendall(piece)
            time.sleep(_PAUSE)


def asked(python: hosts.Python, within: float, **served: Iterator[bytes]) -> object:
    """Return what a Python is told by servers that send these pieces, by name."""
    cases, listeners = [], []
    for name, pieces in served.items():
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        cases.append((name, listener.getsockname()[1], within))
        threading.Thread(target=answer, args=(listener, pieces), daemon=True).start()
    places = [str(ROOT / "installer"), str(ROOT / "manifests")]
    words = [str(python.path), "-S", "-I", "-B", "-c", PROGRAM, *places]
    try:
        done = subprocess.run(
            [*words, json.dumps(cases)], capture_output=True, text=True, timeout=60
        )
    finally:
        for listener in listeners:
            listener.close()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


every_python = pytest.mark.parametrize("python", hosts.all_pythons(), ids=str)


@every_python
def test_a_whole_answer_is_read_however_its_end_is_told(python):
    served = {name: iter((data,)) for name, data in {**WHOLE, **EMPTY}.items()}

    told = asked(python, 30, **served)

    assert told == {
        **{name: [200, "Paris"] for name in WHOLE},
        "nothing and close": [200, ""],
        "204": [204, ""],
    }


@every_python
def test_the_time_is_for_all_of_an_answer_wherever_it_drips(python):
    served = {
        name: chain((first,), repeat(again, _DRIPS))
        for name, (first, again) in ENDLESS.items()
    }

    told = asked(python, 0.5, **served)

    assert told == dict.fromkeys(ENDLESS, "no whole answer in 0.5 seconds")
