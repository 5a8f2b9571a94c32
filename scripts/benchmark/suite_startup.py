"""The suite `startup`: how long it takes to start, and to read a very large index."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from .huge import make_huge
from .rounds import run_rounds
from .tools import INSTALLER, Settings, Site, run, sealift
from .values import Case, Result

INSTALLER_AIM = 0.3
INSPECT_AIM, INSPECT_MEMORY_AIM = 3.0, 600.0
TERABYTES = 2
_SEVERAL = 3
"""Short commands run so many times as often as others."""

START = "sealift-installer.pyz --help"
STATUS = "sealift-installer.pyz status, nothing installed"
EMPTY = "python3 -I -B -c pass"
START_SEALIFT = "sealift --version"
EMPTY_VENV = "python of .venv -c pass"
INSPECT = "sealift inspect"
OPEN = "sealift-installer.pyz verify --ignore-missing"


def startup(settings: Settings) -> Iterator[Result]:
    """Measure both programs with nothing to do, then with a bundle of 2 TB."""
    root = settings.scratch("startup")
    site = Site(root, settings.python)
    try:
        run(sealift("keygen", site.key, "--no-passphrase"))
        run(sealift("installer", "-o", root / INSTALLER))
        starting = _starting(settings, root)
        yield starting
        yield _reading(settings, site, starting.middle(START, "memory"))
    finally:
        shutil.rmtree(root)


def _starting(settings: Settings, root: Path) -> Result:
    result = Result("startup", "with nothing to do, warm", 0)
    isolated = [settings.python, "-I", "-B"]
    places = ["--state-dir", str(root / "state"), "--config-dir", str(root / "etc")]
    commands = {
        START: [*isolated, str(root / INSTALLER), "--help"],
        STATUS: [*isolated, str(root / INSTALLER), "status", *places],
        EMPTY: [*isolated, "-c", "pass"],
        START_SEALIFT: sealift("--version"),
        EMPTY_VENV: [sys.executable, "-c", "pass"],
    }

    def cases() -> Iterator[Case]:
        for name, command in commands.items():
            yield Case(name, command, root / "none")

    rounds = settings.rounds * _SEVERAL
    run_rounds(result, cases, rounds, settings.say, warm=True)
    aims = {START: INSTALLER_AIM, STATUS: INSTALLER_AIM, START_SEALIFT: None}
    for name, aim in aims.items():
        seconds = (each.wall for each in result.runs[name])
        result.judge(name, *seconds, unit="s", aim=aim)
    result.compare(START, EMPTY)
    result.compare(START_SEALIFT, EMPTY_VENV)
    return result


def _reading(settings: Settings, site: Site, started: float) -> Result:
    """Measure what a large index takes; `started`: memory of a program without one."""
    size = int(TERABYTES * 10**12) // (50 if settings.quick else 1)
    settings.say(f"making an index for {size / 10**12:g} TB")
    bundle = make_huge(site.root / "bundle", size, site.key)
    index = (bundle / "index.json").stat().st_size
    result = Result(
        "startup", f"a bundle of {size / 10**12:g} TB, without packs", index
    )
    reads = [bundle]
    inspect = sealift("inspect", bundle, "--key", site.public)
    pyz, host = site.root / INSTALLER, site.root / "host"
    look = site.installer("verify", host, bundle, "--ignore-missing", program=pyz)

    def cases() -> Iterator[Case]:
        yield Case(INSPECT, inspect, site.root / "none", reads)
        yield Case(OPEN, look, host, reads)

    run_rounds(result, cases, settings.rounds, settings.say, warm=settings.warm)
    for name, aims in ((INSPECT, (INSPECT_AIM, INSPECT_MEMORY_AIM)), (OPEN, ())):
        seconds, memory = aims or (None, None)
        runs = result.runs[name]
        result.judge(name, *(r.wall for r in runs), unit="s", aim=seconds)
        peaks = [run.memory / 2**20 for run in runs]
        result.judge(f"{name}: peak memory", *peaks, unit="MiB", aim=memory)
    result.judge("index.json", index / 2**20, unit="MiB")
    seconds, memory = result.middle(OPEN), result.middle(OPEN, "memory")
    result.notes.append(
        f"what the index costs in an install: it is read once, when the bundle is "
        f"opened; {seconds:.1f} s and {memory / 2**20:.0f} MiB as `verify` of a medium "
        f"without packs shows, beside what {size / 10**12:g} TB take to be moved"
    )
    result.figures = {
        "bytes": size,
        "index": index,
        "open seconds": seconds,
        "open memory": memory - started,
    }
    return result
