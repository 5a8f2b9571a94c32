"""Serve a model on loopback as the Hub does, for a peer that takes models from there.

A process of its own, so that what it reads is not counted as the peer's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hubserver import HubServer

from .tools import ROOT

REPO = "made/model"


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """Serve a directory as the repo `made/model`; give the endpoint."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark.hub", str(model)],
        cwd=ROOT / "scripts",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


def main(model: Path) -> None:
    """Say the endpoint, and serve until standard input ends."""
    files = {p.relative_to(model).as_posix(): p for p in model.rglob("*")}
    files = {name: path for name, path in files.items() if path.is_file()}
    with HubServer({REPO: files}) as hub:
        print(hub.endpoint, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
