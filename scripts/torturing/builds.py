"""Kill `sealift build` at random instants, and run it again until it is done.

What comes out must be, byte for byte, the bundle of a build that nobody disturbed;
until then nothing may stand under its name, and afterwards nothing beside it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from events import events_of, phase_of
from killing import End, Forks, run
from sources import import_image, write_weights
from tally import Tally, Task

NAME = "tortured-1.0.0"
EPOCH = "1767225600"
SEALIFT = Path(sys.executable).with_name("sealift")
FORMS = {"": (), ".tar": ("--tar",)}
LIMIT_OF_RUNS = 60
"""Runs in a row after which a build that is killed each time is let through."""


@dataclass(frozen=True)
class Shop:
    """A spec with its sources and a key, and what runs the builds."""

    folder: Path
    forks: Forks

    @property
    def out(self) -> Path:
        """Where bundles are built."""
        return self.folder / "out"

    def build(self, form: str, kill_after: float | None) -> End:
        """Run the build, maybe not to its end."""
        command = [SEALIFT, "build", self.folder / "sealift.yaml", "-o", self.out]
        command += ["--sign-key", self.folder / "key", "--part-size", "8MiB"]
        command += ["--cache", self.folder / "cache", "--progress", "json"]
        env = {"SOURCE_DATE_EPOCH": EPOCH}
        command += FORMS[form]
        return self.forks.run(command, self.folder, kill_after=kill_after, env=env)

    def verify(self, bundle: Path) -> End:
        """Run `sealift verify` on a bundle."""
        key = self.folder / "key.pub"
        return run([SEALIFT, "verify", bundle, "--key", key], self.folder)


def torture(task: Task) -> Tally:
    """Kill builds until there were enough kills; alternate directory and tar."""
    tally = Tally("build")
    with _shop(task.work) as shop:
        calm = {form: _calm(shop, form, tally) for form in FORMS}
        while tally.kills < task.kills and not tally.torn:
            for form, (digests, seconds) in calm.items():
                _one_bundle(shop, form, task, tally, seconds)
                tally.torn += _compare(_digests(shop.out), digests)
                shutil.rmtree(shop.out)
            task.say(f"build: {tally.kills} of {task.kills} kills")
    return tally


def _one_bundle(
    shop: Shop, form: str, task: Task, tally: Tally, seconds: float
) -> None:
    """Run a build, killed again and again, until the bundle is there.

    A build that nobody disturbs takes so many `seconds`, one that goes on fewer.
    """
    for attempt in range(LIMIT_OF_RUNS + 1):
        calm = attempt == LIMIT_OF_RUNS or tally.kills >= task.kills
        kill_after = None if calm else task.random.uniform(0, seconds * 0.9)
        end = shop.build(form, kill_after)
        events = events_of(end.err)
        tally.resumed += sum(event.get("kept", 0) for event in events)
        there = (shop.out / f"{NAME}{form}").exists()
        if end.code is None:
            tally.phases[phase_of(events)] += 1
        if there:
            tally.finished += 1
            # A run after the bundle got its name clears away what a kill has left.
            if end.code is None:
                shop.build(form, None)
            return
        if end.code is not None:
            tally.torn.append(f"a build ended with {end.code}: {end.err[-600:]}")
            return


def _calm(shop: Shop, form: str, tally: Tally) -> tuple[dict[str, str], float]:
    """Build undisturbed; return the digest of each file, and the seconds it took.

    Verified once: what is the same byte for byte later needs no verifying.
    """
    end = shop.build(form, None)
    if end.code:
        raise RuntimeError(f"an undisturbed build failed: {end.err}")
    verified = shop.verify(shop.out / f"{NAME}{form}")
    if verified.code:
        tally.torn.append(f"an undisturbed bundle does not verify: {verified.err}")
    digests = _digests(shop.out)
    shutil.rmtree(shop.out)
    return digests, end.seconds


def _compare(found: dict[str, str], calm: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with the output place after a bundle came to its end."""
    for name in sorted(found.keys() | calm.keys()):
        if name not in calm:
            yield f"{name} was left behind"
        elif found.get(name) != calm[name]:
            yield f"{name} is not that of an undisturbed build"


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def _shop(folder: Path) -> Iterator[Shop]:
    """Make the sources: weights of several kinds, and an image where an engine is."""
    random = Random("sources")
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama"}')
    write_weights(model / "model.safetensors", random)
    (model / "noise.gguf").write_bytes(random.randbytes(9 << 20))
    (model / "words.txt").write_bytes(b"".join(b"line %d\n" % n for n in range(10**6)))
    run([SEALIFT, "keygen", folder / "key", "--no-passphrase"], folder)
    image = f"sealift-torture-{folder.name.lower()}:1"
    has_image = import_image(image, random)
    images = f"images:\n  web: {{engine: '{image}'}}\n" if has_image else ""
    (folder / "sealift.yaml").write_text(
        "sealift: 1\nname: tortured\nversion: 1.0.0\nplatform: linux/amd64\n"
        f"models:\n  tiny: {{path: {model}}}\n{images}"
    )
    forks = Forks()
    try:
        yield Shop(folder, forks)
    finally:
        forks.close()
        if has_image:
            subprocess.run(["docker", "rmi", image], capture_output=True)
