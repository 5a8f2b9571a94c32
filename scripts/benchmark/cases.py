"""What is measured: our commands, and what one would type instead."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meter import Run, drop_cache, measure

CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Case:
    """A command to measure. `reads` are the directories whose bytes it reads.

    What lies in the directory `writes` is removed before each run.
    """

    name: str
    command: Sequence[str]
    reads: Sequence[Path]
    writes: Path


@dataclass(frozen=True)
class Comparison:
    """`ours` is to take at most `aim` times as long as `yardstick`."""

    ours: str
    yardstick: str
    aim: float | None


COMPARISONS = (
    Comparison("build", "tar | zstd -T0 -3, sha256sum", None),
    Comparison("build", "by hand", 0.40),
    Comparison("install", "cp -r, sync", 1.6),
    Comparison("verify", "openssl dgst of the bundle", 1.1),
    Comparison("audit", "openssl dgst of the weights", 1.1),
)


@dataclass
class Bench:
    """The places of a benchmark, below `work`; `python` runs the installer."""

    model: Path
    work: Path
    python: str
    warm: bool
    runs: dict[str, list[Run]] = field(default_factory=dict)

    @property
    def bundle(self) -> Path:
        """The bundle that is verified and installed; it has several packs."""
        return self.work / "bundle/bench-1.0.0"

    def prepare(self) -> None:
        """Make a key, a spec, a bundle and an installation."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self._spec.write_text(
            "sealift: 1\nname: bench\nversion: 1.0.0\nplatform: linux/amd64\n"
            f"models:\n  made: {{path: {self.model}}}\n",
            encoding="utf-8",
        )
        self._do(_sealift("keygen", self._key, "--no-passphrase"))
        # One process per core over the packs is fair only if there are enough of them.
        size = sum(f.stat().st_size for f in self.model.iterdir())
        part = max(16 << 20, size // (16 * CORES))
        self._do(self._build(self.work / "bundle", "--part-size", str(part)))
        self._do(self._installer("install", self.work / "installed", self.bundle))

    def round(self, say) -> None:
        """Measure every case once, in turn."""
        for case in self.cases():
            shutil.rmtree(case.writes, ignore_errors=True)
            case.writes.mkdir()
            for folder in case.reads:
                if not self.warm:
                    drop_cache(folder)
            os.sync()
            run = measure(case.command, case.writes)
            shutil.rmtree(case.writes)
            self.runs.setdefault(case.name, []).append(run)
            say(f"  {case.name}: {run.wall:.2f} s")

    def cases(self) -> Iterator[Case]:
        """Yield what is measured, each of ours beside its yardstick."""
        out, model = self.work / "out", shlex.quote(str(self.model))
        packs, weights = self._files(self.bundle), self._files(self._weights)
        tar = f"tar -c -C {model} . | zstd -T0 -3 -q"
        sign = f"ssh-keygen -q -Y sign -f {self._key} -n file sums"
        reads = [self.model]
        yield Case("build", self._build(out), reads, out)
        yield Case(
            "tar | zstd -T0 -3, sha256sum",
            _shell(out, f"{tar} >model.tar.zst && sha256sum model.tar.zst"),
            reads,
            out,
        )
        yield Case(
            "by hand",
            _shell(out, f"{tar} | split -b 4G - part. && sha256sum part.* >sums", sign),
            reads,
            out,
        )
        bundle = self.bundle
        yield Case("install", self._installer("install", out, bundle), [bundle], out)
        yield Case(
            "cp -r, sync",
            _shell(out, f"cp -r {model} copy", "sync copy/* copy ."),
            reads,
            out,
        )
        yield Case("verify", self._installer("verify", out, bundle), [bundle], out)
        yield Case("openssl dgst of the bundle", _digests(packs), [bundle], out)
        installed = self.work / "installed"
        yield Case("audit", self._installer("audit", installed), [installed], out)
        yield Case("openssl dgst of the weights", _digests(weights), [installed], out)

    @property
    def _key(self) -> Path:
        return self.work / "release.key"

    @property
    def _spec(self) -> Path:
        return self.work / "sealift.yaml"

    @property
    def _weights(self) -> Path:
        return self.work / "installed/state/store"

    def _build(self, output: Path, *options: str) -> list[str]:
        places = (self._spec, "-o", output, "--cache", self.work / "cache")
        return _sealift("build", *places, "--sign-key", self._key, *options)

    def _installer(self, verb: str, host: Path, *places: Path) -> list[str]:
        program = self.bundle / "sealift-installer.pyz"
        trust = ("--key", f"{self._key}.pub")
        dirs = ("--state-dir", host / "state", "--config-dir", host / "etc")
        # Weights need no container engine, and one would keep volumes of ours.
        alone = ("--engine", self.work / "no-engine")
        return [
            *(self.python, "-I", "-B"),
            *map(str, (program, verb, *places, *trust, *dirs, *alone)),
        ]

    def _files(self, folder: Path) -> list[Path]:
        found = [path for path in folder.rglob("*") if path.is_file()]
        return sorted(found, key=lambda path: -path.stat().st_size)

    def _do(self, command: Sequence[str]) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _sealift(*arguments: object) -> list[str]:
    program = Path(sys.executable).with_name("sealift")
    return [str(program), *map(str, arguments)]


def _shell(folder: Path, *lines: str) -> list[str]:
    script = "\n".join((f"set -e -o pipefail; cd {shlex.quote(str(folder))}", *lines))
    return ["bash", "-c", script]


def _digests(files: Sequence[Path]) -> list[str]:
    """Return a command that hashes files with one process for each core."""
    names = shlex.join(map(str, files))
    each = f"xargs -0 -n 1 -P {CORES} openssl dgst -sha256"
    return ["bash", "-c", f"printf '%s\\0' {names} | {each}"]
