"""What the measurements were taken on: machine, file system and versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def facts(work: Path, python: str) -> dict[str, str]:
    """Return what a reader needs to place the numbers."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((x.split(": ")[1] for x in cpus if x.startswith("model name")), "?")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "machine": f"{len(os.sched_getaffinity(0))} cores ({model}), "
        f"{memory / 2**30:.0f} GiB, Linux {platform.release()}, load {load}",
        "file system": said("stat", "-f", "-c", "%T", str(work)),
        "bundler": f"Python {platform.python_version()}, "
        f"zstandard {version('zstandard')}, numpy {version('numpy')}",
        "installer": said(python, "-c", "import sys; print('Python', sys.version)"),
        "yardsticks": ", ".join(
            (
                said("zstd", "--version").strip("* "),
                said("openssl", "version"),
                said("sha256sum", "--version"),
            )
        ),
        "commit": said("git", "-C", str(Path(__file__).parent), "describe", "--always"),
    }


def said(*command: str) -> str:
    """Return the first line that a command prints."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout.splitlines() or ["?"])[0]
