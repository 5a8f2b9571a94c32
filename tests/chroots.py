"""A small Debian 11 to run the installer in: its Python is 3.9, its tools are old.

Made once by debootstrap and kept in the user's cache. Only root can make and enter it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hosts import MissingHostError, is_root

SUITE = "bullseye"
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
    if not is_root():
        raise MissingHostError("only root can make and enter a chroot")
    if not shutil.which("debootstrap"):
        raise MissingHostError("debootstrap is missing; scripts/test installs it")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    cache = Path(base, "sealift-tests")
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / "debian-11"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _bootstrap(root)
    return Chroot(root)


def _bootstrap(root: Path) -> None:
    partial = root.with_name(root.name + ".partial")
    log = root.with_name(root.name + ".log")
    shutil.rmtree(partial, ignore_errors=True)
    # python3 is all that the installer asks of a host.
    options = ["--variant=minbase", "--include=python3"]
    with log.open("wb") as output:
        done = subprocess.run(
            ["debootstrap", *options, SUITE, str(partial), debian_mirror()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        raise MissingHostError(f"debootstrap of Debian 11 failed; see {log}")
    partial.rename(root)


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
