"""Kill `sealift-installer install` at random instants, and run it till it is done.

First installs and upgrades in turn. After every kill the release in use, if there is
one, must be whole, and an old one must be there until the new one is. In the end all
is clean, and nothing lies beside it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from events import events_of, phase_of
from killing import End, run
from sources import import_image, write_weights
from tally import Tally, Task

SEALIFT = Path(sys.executable).with_name("sealift")
OLD, NEW = "1.0.0", "2.0.0"
CHECKPOINT = 1 << 20
NOT_INSTALLED = 45
LIMIT_OF_RUNS = 60
"""Runs in a row after which an install that is killed each time is let through."""

_OFTEN = f"""
import sys
sys.path.insert(0, sys.argv.pop(1))
from sealift_installer import cli, shelf, staging
shelf.CHECKPOINT = staging.CHECKPOINT = {CHECKPOINT}
sys.exit(cli.main())
"""
"""Runs the installer, which syncs and lists what it has as if files were large."""


@dataclass(frozen=True)
class Site:
    """Two releases of one bundle, and the host they are installed on."""

    folder: Path
    name: str

    @property
    def host(self) -> Path:
        """The installer's own directories."""
        return self.folder / "host"

    def bundle(self, version: str) -> Path:
        """Return the place of a release's bundle."""
        return self.folder / "out" / f"{self.name}-{version}"

    def run(
        self, *words: str | Path, often: bool = False, kill_after: float | None = None
    ) -> End:
        """Run the installer, maybe not to its end."""
        pyz = self.bundle(NEW) / "sealift-installer.pyz"
        program = ["-c", _OFTEN, pyz] if often else [pyz]
        places = ["--state-dir", self.host / "state", "--config-dir", self.host / "etc"]
        command = [sys.executable, "-I", "-B", *program, *words, *places]
        return run([*command, "--progress", "json"], self.folder, kill_after=kill_after)

    def install(self, version: str, kill_after: float | None, *, often: bool) -> End:
        """Run the install of a release, maybe not to its end."""
        words = ["install", self.bundle(version), "--key", self.folder / "key.pub"]
        return self.run(*words, often=often, kill_after=kill_after)

    @property
    def current(self) -> str:
        """The version that is in use; nothing if none is."""
        link = self.host / "state/current" / self.name
        return (
            os.readlink(link).rpartition("/")[2].partition("-")[0]
            if (link.is_symlink())
            else ""
        )

    @property
    def kept(self) -> int:
        """How many bytes the journal lists, which need not be read again."""
        lists = (self.host / "state/journal").glob("*.ranges")
        pairs = (line.split() for each in lists for line in each.open())
        return sum(int(end) - int(start) for start, end in pairs)


def torture(task: Task) -> Tally:
    """Kill installs until there were enough kills; first ones and upgrades in turn."""
    tally = Tally("install")
    with _site(task.work) as site:
        start = site.run("--version").seconds
        calm = _calm(site)
        while tally.kills < task.kills and not tally.torn:
            for before in ("", OLD):
                if before:
                    site.install(OLD, None, often=False)
                _one_install(site, before, task, tally, (start * 0.9, calm * 0.9))
                tally.torn += _faults_at_the_end(site)
            task.say(f"install: {tally.kills} of {task.kills} kills")
    return tally


def _one_install(
    site: Site, before: str, task: Task, tally: Tally, instants: tuple[float, float]
) -> None:
    """Run an install, killed again and again, until it comes to its end."""
    for attempt in range(LIMIT_OF_RUNS + 1):
        calm = attempt == LIMIT_OF_RUNS or tally.kills >= task.kills
        kill_after = None if calm else task.random.uniform(*instants)
        tally.resumed += site.kept
        end = site.install(NEW, kill_after, often=task.random.random() < 0.7)
        if end.code == 0:
            tally.finished += 1
            return
        if end.code is not None:
            tally.torn.append(f"an install ended with {end.code}: {end.err[-600:]}")
            return
        tally.phases[phase_of(events_of(end.err))] += 1
        tally.torn += _faults_between(site, before)


def _faults_between(site: Site, before: str) -> Iterator[str]:
    """Yield what is wrong with what serves after a kill: the old release or the new."""
    if site.current not in (before, NEW):
        yield f"the release in use is {site.current!r}"
    audited = site.run("audit", "--no-layers")
    if audited.code != (0 if site.current else NOT_INSTALLED):
        yield f"the audit between ended with {audited.code}: {audited.err[-600:]}"


def _faults_at_the_end(site: Site) -> Iterator[str]:
    """Yield what is wrong after an install came to its end; take it off the host."""
    if site.current != NEW:
        yield f"the release in use at the end is {site.current!r}"
    audited = site.run("audit")
    if audited.code:
        yield f"the audit at the end ended with {audited.code}: {audited.err[-600:]}"
    for path in (site.host / "state").rglob("*"):
        unfinished = path.name.endswith((".partial", ".new", ".old", ".gone"))
        if unfinished or path.parent.name == "journal":
            yield f"{path} was left behind"
    removed = site.run("uninstall", "--yes")
    if removed.code:
        yield f"the uninstall ended with {removed.code}: {removed.err[-600:]}"
    shutil.rmtree(site.host)


def _calm(site: Site) -> float:
    """Install undisturbed; return the seconds it took."""
    end = site.install(NEW, None, often=True)
    if end.code:
        raise RuntimeError(f"an undisturbed install failed: {end.err}")
    if faults := list(_faults_at_the_end(site)):
        raise RuntimeError(f"an undisturbed install left {faults}")
    return end.seconds


@contextmanager
def _site(folder: Path) -> Iterator[Site]:
    """Build two releases that share some weights, and an image where an engine is."""
    random = Random("sources")
    name = f"tortured-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"
    run([SEALIFT, "keygen", folder / "key", "--no-passphrase"], folder)
    image = f"sealift-{name}:1"
    has_image = import_image(image, random)
    images = f"images:\n  web: {{engine: '{image}'}}\n" if has_image else ""
    try:
        for version in (OLD, NEW):
            model = folder / version
            model.mkdir()
            write_weights(model / "model.safetensors", random)
            (model / "shared.gguf").write_bytes(Random("shared").randbytes(9 << 20))
            (model / "own.gguf").write_bytes(random.randbytes(20 << 20))
            (model / "config.json").write_text(f'{{"version": "{version}"}}')
            _build(folder, name, version, images if version == NEW else "")
        yield Site(folder, name)
    finally:
        if has_image:
            subprocess.run(["docker", "rmi", image], capture_output=True)


def _build(folder: Path, name: str, version: str, images: str) -> None:
    spec = folder / f"{version}.yaml"
    spec.write_text(
        f"sealift: 1\nname: {name}\nversion: {version}\nplatform: linux/amd64\n"
        f"serial: {version[0]}\nmodels:\n  tiny: {{path: {folder / version}}}\n{images}"
    )
    options = ["--sign-key", folder / "key", "--cache", folder / "cache"]
    end = run([SEALIFT, "build", spec, "-o", folder / "out", *options], folder)
    if end.code:
        raise RuntimeError(f"a bundle was not built: {end.err}")
