"""What the measurements were taken on: machine, file system and versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from .tools import ROOT, Settings

_PROGRAMS = (
    ("zstd", "--version"),
    ("openssl", "version"),
    ("cp", "--version"),
    ("tar", "--version"),
    ("sha256sum", "--version"),
    ("docker", "version", "--format", "Docker {{.Server.Version}}"),
    ("docker-registry", "--version"),
)


def facts(settings: Settings) -> dict[str, str]:
    """Return what a reader needs to place the numbers."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((x.split(": ")[1] for x in cpus if x.startswith("model name")), "?")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    python = settings.python
    return {
        "machine": f"{len(os.sched_getaffinity(0))} cores ({model}), "
        f"{memory / 2**30:.0f} GiB, Linux {platform.release()}, "
        f"load {load} when it began",
        "file system": _said("stat", "-f", "-c", "%T", str(settings.work.parent)),
        "bundler": f"Python {platform.python_version()}, "
        f"zstandard {version('zstandard')}, numpy {version('numpy')}",
        "installer": _said(python, "-c", "import sys; print('Python', sys.version)")
        + f" at {python}",
        "yardsticks": ", ".join(said for each in _PROGRAMS if (said := _said(*each))),
        "commit": _said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "caches": "warm: what a command reads may be in memory"
        if settings.warm
        else "dropped: what a command reads is not in memory when it starts",
        "rounds": f"{settings.rounds}; ours and the yardsticks take turns in each",
    }


def _said(*command: str) -> str:
    """Return the first line that a command prints; nothing where it is missing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return (done.stdout.splitlines() or [""])[0].strip("* ")
