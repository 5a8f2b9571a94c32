"""The commands that are measured: ours, and what one would type instead."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .values import Say

ROOT = Path(__file__).resolve().parents[2]
CORES = len(os.sched_getaffinity(0))
INSTALLER = "sealift-installer.pyz"
SYSTEM_PYTHON = Path("/usr/bin/python3")


@dataclass(frozen=True)
class Settings:
    """How to run: `work` is scratch, `keep` for what is made once and for results.

    `python` runs the installer. `quick`: small inputs, to see that all of it works.
    """

    work: Path
    keep: Path
    python: str
    rounds: int
    warm: bool
    quick: bool
    peers: bool
    size: float | None
    sizes: tuple[float, ...]
    dtypes: tuple[str, ...]
    say: Say

    @property
    def inputs(self) -> Path:
        """Where models and images are kept."""
        return self.keep / "inputs"

    def scratch(self, name: str) -> Path:
        """Return an empty directory."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def bytes(self, standard: float, quick: float = 1 / 32) -> int:
        """Return the size asked for, or the usual one, both given in GiB."""
        usual = quick if self.quick else standard
        return int((self.size or usual) * 2**30)


@dataclass(frozen=True)
class Site:
    """Both sides of the gap below one directory: a key, a spec, an installer."""

    root: Path
    python: str

    @property
    def key(self) -> Path:
        """The private key; the public one lies beside it."""
        return self.root / "release.key"

    @property
    def public(self) -> Path:
        """The public key."""
        return self.root / "release.key.pub"

    def prepare(self, parts: str) -> None:
        """Make a key, and a spec with these models or images."""
        run(sealift("keygen", self.key, "--no-passphrase"))
        (self.root / "sealift.yaml").write_text(
            "sealift: 1\nname: bench\nversion: 1.0.0\nplatform: linux/amd64\n" + parts,
            encoding="utf-8",
        )

    def build(self, output: Path, *options: object) -> list[str]:
        """Return the command that builds the bundle `bench-1.0.0` below `output`."""
        places = (self.root / "sealift.yaml", "-o", output)
        return sealift("build", *places, "-q", "--sign-key", self.key, *options)

    def installer(
        self,
        verb: str,
        host: Path,
        *places: object,
        engine: object = None,
        program: Path | None = None,
    ) -> list[str]:
        """Return a command of the installer; without an engine unless one is named.

        It is that of the bundle, the first of the places, or another `program`.
        """
        pyz = program or Path(str(places[0])) / INSTALLER
        dirs = ("--state-dir", host / "state", "--config-dir", host / "etc")
        # Weights need no container engine, and one would keep volumes of ours.
        socket = ("--engine", engine or self.root / "no-engine")
        words = (pyz, verb, *places, "--key", self.public, *dirs, *socket)
        return [self.python, "-I", "-B", *map(str, words)]


def sealift(*arguments: object) -> list[str]:
    """Return a command of the connected side."""
    program = Path(sys.executable).with_name("sealift")
    return [str(program), *map(str, arguments)]


def shell(folder: Path, *lines: str) -> list[str]:
    """Return a command that runs lines of bash in a directory."""
    begin = f"set -e -o pipefail; cd {shlex.quote(str(folder))}"
    return ["bash", "-c", "\n".join((begin, *lines))]


def digests(folder: Path) -> list[str]:
    """Return a command that hashes files with one process of openssl for each core."""
    count = sum(path.is_file() for path in folder.rglob("*"))
    at_once = 1 if count < 64 * CORES else 64
    largest_first = r"-printf '%s\t%p\0' | sort -z -r -n | cut -z -f 2-"
    each = f"xargs -0 -n {at_once} -P {CORES} openssl dgst -sha256"
    return shell(folder, f"find . -type f {largest_first} | {each}")


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run(command: Sequence[object], **more: str) -> None:
    """Run a command that is not measured; its end is awaited, and must be good."""
    subprocess.run(
        [str(word) for word in command],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **more},
    )
