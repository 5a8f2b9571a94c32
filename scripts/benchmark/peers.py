"""Neighbours from PyPI, in a virtual environment of their own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .hub import REPO
from .tools import run
from .values import Say

WANTED = {"lmzip": "lmzip[zstd]==1.3.0", "modelferry": "modelferry==0.2.1"}
"""What is installed, by the name of the package."""


@dataclass(frozen=True)
class Peers:
    """Which of them there are, with their versions; `missing` says why not."""

    folder: Path
    versions: dict[str, str]
    missing: tuple[str, ...]

    def lmz(self, *words: object) -> list[str]:
        """Return a command of lmzip."""
        # It opens all files of a model at once.
        many = 'ulimit -S -n hard; exec "$@"'
        program = str(self.folder / "bin/lmz")
        return ["bash", "-c", many, "bash", program, *map(str, words)]

    def modelferry(self, *words: object, hub: str = "") -> list[str]:
        """Return a command of modelferry; `hub` is where it takes models from."""
        settings = ["-u", "HF_TOKEN", f"HF_ENDPOINT={hub}", "HF_HUB_DISABLE_XET=1"]
        program = [str(self.folder / "bin/modelferry"), *map(str, words)]
        return ["env", *settings, *program] if hub else program

    def pack(self, output: Path, hub: str) -> list[str]:
        """Return the command of modelferry that packs the model of the hub."""
        places = ("--dest", output / "bundle", "--staging", output / "staging")
        return self.modelferry("pack", REPO, *places, hub=hub)


def no_peers(folder: Path) -> Peers:
    """Return none, as wanted."""
    return Peers(folder, {}, ())


def install_peers(folder: Path, say: Say) -> Peers:
    """Install what is not there yet; one that does not install is left out."""
    python = folder / "bin/python"
    if not python.exists():
        say("making a virtual environment for lmzip and modelferry")
        run([sys.executable, "-m", "venv", folder])
    missing = []
    for name, wanted in WANTED.items():
        if not _version(python, name):
            words = ["-m", "pip", "install", "-q", "--disable-pip-version-check"]
            done = subprocess.run(
                [str(python), *words, wanted], capture_output=True, text=True
            )
            if done.returncode:
                reason = (done.stderr.splitlines() or ["?"])[-1]
                missing.append(f"left out, for it does not install: {name} ({reason})")
    found = {name: _version(python, name) for name in WANTED}
    return Peers(folder, {k: v for k, v in found.items() if v}, tuple(missing))


def _version(python: Path, name: str) -> str:
    ask = f"from importlib.metadata import version; print(version({name!r}))"
    done = subprocess.run([str(python), "-c", ask], capture_output=True, text=True)
    return done.stdout.strip()
