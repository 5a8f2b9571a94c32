"""Run the installer in a child of this process, and let it die in the middle of things.

Each change that it makes to a file system is counted; it dies instead of one of them.
"""

from __future__ import annotations

import io
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from making import NO_ENGINE
from sealift_installer import durable
from sealift_installer.cli import main

KILLED = 77
CHANGES = (
    *("chmod", "fchmod", "fsync", "link", "mkdir", "rename", "replace", "rmdir"),
    *("symlink", "unlink", "write"),
)
"""The functions of `os` by which the installer changes the host."""


def run(root: Path, *words: str | Path, die_at: int | None = None) -> int:
    """Run the installer for the host below `root`; return its exit code.

    With `die_at` it dies instead of that change (from 0), and KILLED is returned.
    """
    places = ["--state-dir", root / "state", "--config-dir", root / "config"]
    argv = [str(word) for word in (*words, *places, "--engine", NO_ENGINE)]
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        if die_at is not None:
            _die_at(die_at)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            code = main(argv)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _die_at(number: int) -> None:
    left = number

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def change(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(KILLED)
            return real(*args, **options)

        return change

    for name in CHANGES:
        setattr(os, name, dying(getattr(os, name)))
    durable.exchange = dying(durable.exchange)


def cut_off(
    copy: Callable[[Path], None], place: Path, words: Sequence[str | Path]
) -> Iterator[Path]:
    """Yield the host for every change at which the command was cut off.

    `copy` puts a fresh host into the folder it is given.
    """
    for at in range(1000):
        host = place / str(at)
        copy(host)
        code = run(host, *words, die_at=at)
        if code != KILLED:
            assert code == 0
            return
        yield host
    raise AssertionError("the command never came to its end")
