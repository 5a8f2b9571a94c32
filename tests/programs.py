"""Stand-ins for programs of a host: real scripts in a folder of their own.

What is tested finds them on PATH, as it finds the real ones; nothing is patched.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

_SCRIPT = """\
#!{python} -IS
import json, sys
with open({log!r}, "a", encoding="utf-8") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
sys.stdout.write({stdout!r})
sys.stderr.write({stderr!r})
sys.exit({code!r})
"""


class Programs:
    """A folder of stand-in programs, which remembers how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self._logs = folder / "calls"
        self.folder.mkdir(parents=True)
        self._logs.mkdir()

    def add(
        self, name: str, *, stdout: str = "", stderr: str = "", code: int = 0
    ) -> Path:
        """Make `name` print these texts and end with this exit code."""
        text = _SCRIPT.format(
            python=sys.executable,
            log=str(self._logs / name),
            stdout=stdout,
            stderr=stderr,
            code=code,
        )
        return self.write(name, text)

    def write(self, name: str, text: str) -> Path:
        """Make `name` a script of your own; its first line names the interpreter."""
        program = self.folder / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
        return program

    def calls(self, name: str) -> list[list[str]]:
        """Return the arguments of each call of `name` so far, in order."""
        log = self._logs / name
        if not log.exists():
            return []
        return [json.loads(line) for line in log.read_text("utf-8").splitlines()]

    @property
    def first(self) -> str:
        """A PATH on which these programs come before the host's own."""
        return os.pathsep.join([str(self.folder), os.environ["PATH"]])

    @property
    def only(self) -> str:
        """A PATH on which there is nothing else: every other program is missing."""
        return str(self.folder)
