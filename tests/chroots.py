"""Small Debians, made once by debootstrap and kept in the user's cache.

A Debian 11 to run the installer in: its Python is 3.9, its tools are old. And a Debian
13 as a tar, to build an image on. Only root can make and enter them.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hosts import MissingHostError, is_root

DEFAULT_MIRROR = "http://deb.debian.org/debian"
# Each command has its own mounts and processes, which end with it, and no network.
_ENTER = 'mount -t proc proc "$1/proc" && exec chroot "$@"'


@dataclass(frozen=True)
class Chroot:
    """The root of another Debian, with python3; shared, so clean up what you bring."""

    root: Path

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `argv` inside, without a network; the caller looks at the outcome."""
        return subprocess.run(self.wrap(argv), input=stdin, capture_output=True)

    def wrap(self, argv: Sequence[str]) -> list[str]:
        """Return `argv` made to run inside, for Popen and the like."""
        apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        plain = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        return [*apart, "sh", "-c", _ENTER, "sh", str(self.root), *plain, *argv]

    @contextmanager
    def folder(self) -> Iterator[tuple[Path, str]]:
        """Lend a new folder: its path from outside, and its path inside."""
        outside = Path(tempfile.mkdtemp(dir=self.root / "srv"))
        try:
            yield outside, f"/srv/{outside.name}"
        finally:
            shutil.rmtree(outside)


def debian11() -> Chroot:
    """Return the chroot from the cache, made first where it is not there yet."""
    # python3 is all that the installer asks of a host.
    return Chroot(_kept("debian-11", lambda to: _bootstrap(to, "bullseye", "python3")))


def debian13_tar() -> Path:
    """Return the file system of a Debian 13 as a tar, with what llama.cpp asks for."""
    packages = "python3,curl,libgomp1,libstdc++6"

    def make(partial: Path) -> None:
        with tempfile.TemporaryDirectory(dir=partial.parent) as folder:
            root = Path(folder) / "root"
            _bootstrap(root, "trixie", packages)
            # Mounts come with the container; lists and packages serve nobody there.
            unwanted = ("./dev/*", "./var/lib/apt/lists/*", "./var/cache/apt/*")
            leave_out = [f"--exclude={path}" for path in unwanted]
            plain = ["--sort=name", "--mtime=@0", "--numeric-owner"]
            command = [
                "tar",
                "-C",
                str(root),
                *plain,
                *leave_out,
                "-cf",
                str(partial),
                ".",
            ]
            subprocess.run(command, check=True)

    return _kept("debian-13.tar", make)


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return what is kept under a name; where nothing is, `make` it."""
    if not is_root():
        raise MissingHostError("only root can make and enter a chroot")
    if not shutil.which("debootstrap"):
        raise MissingHostError("debootstrap is missing; scripts/test installs it")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    cache = Path(base, "sealift-tests")
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / name
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            partial = path.with_name(f"{name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            make(partial)
            partial.rename(path)
    return path


def _bootstrap(root: Path, suite: str, packages: str) -> None:
    log = root.parent / f"debootstrap-{suite}.log"
    options = ["--variant=minbase", f"--include={packages}"]
    with log.open("wb") as output:
        done = subprocess.run(
            ["debootstrap", *options, suite, str(root), debian_mirror()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        lines = log.read_text("utf-8", "replace").splitlines()
        raise MissingHostError(f"debootstrap of {suite} failed: {lines[-3:]}")


def debian_mirror(apt: Path = Path("/etc/apt")) -> str:
    """Return the mirror that this machine's apt takes Debian itself from."""
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for path in lists:
        if path.is_file():
            text = path.read_text("utf-8", "replace")
            # One line of either form: `deb [options] URL suite` or `URIs: URL`.
            pattern = r"^(?:deb\s+(?:\[[^]]*\]\s+)?|URIs:\s*)(\S+/debian)/?(?:\s|$)"
            if found := re.search(pattern, text, re.MULTILINE):
                return found.group(1)
    return DEFAULT_MIRROR
