"""The commands that take a model through build, verify, install and audit.

And beside each what one would type instead. Who runs and judges them is `suite_models`.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from .peers import Peers
from .throttle import Throttle
from .tools import CORES, INSTALLER, Site, digests, shell, size_of
from .values import Case

OURS = ("build", "verify", "install", "audit")
CP = "cp -r, sync"
TAR = "tar | zstd -T0 -3"
BY_HAND = "by hand: tar | zstd -T0 | split -b 4G, sha256sum, ssh-keygen"
BACK = "by hand, back: ssh-keygen, sha256sum -c, cat | zstd -d | tar -x, sync"
DGST = f"openssl dgst -sha256 of {{}}, {CORES} at a time"
OF_BUNDLE, OF_WEIGHTS = DGST.format("the bundle"), DGST.format("what is installed")
HELD, CP_HELD = "install from 400 MB/s", "cp -r, sync from 400 MB/s"
WITH_NUMPY = "install by the Python of .venv, which has numpy"
LMZ, UNLMZ = "lmz compress", "lmz decompress, sync"
FERRY, CHECK, UNFERRY = "modelferry pack", "modelferry verify", "modelferry unpack"
BEST = "zstd -T0 -19 of a part"


@dataclass
class ModelBench:
    """The commands for one model, below one scratch directory.

    Without `whole`, the pipeline by hand is left out; `part` is how much of a file is
    given to the slowest compressor, in bytes. `facts` about the bundle are known when
    it was built.
    """

    site: Site
    model: Path
    peers: Peers
    hub: str = ""
    throttle: Throttle | None = None
    part: int = 0
    whole: bool = True
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """The scratch directory."""
        return self.site.root

    @property
    def bundle(self) -> Path:
        """What is built in each round, verified and installed."""
        return self.work / "out/bench-1.0.0"

    @property
    def pack_size(self) -> int:
        """Packs small enough that openssl has several for each core."""
        return max(16 << 20, size_of(self.model) // (16 * CORES))

    def notes(self) -> Iterator[str]:
        """Say what a reader should know of the comparisons."""
        yield (
            f"packs of {self.pack_size >> 20} MiB, so that openssl has several for "
            "each core"
        )
        if self.part:
            yield (
                "zstd -19 gets the first chunks of the largest file, which it gives to "
                "one core, and its size is compared with theirs in the bundle"
            )
        if self.whole and self.peers.versions:
            versions = (f"{n} {v}" for n, v in self.peers.versions.items())
            yield (
                f"{', '.join(versions)}: neither signs nor syncs; modelferry takes the "
                "model from a Hub on loopback"
            )

    def prepare(self) -> None:
        """Make a key and a spec."""
        self.site.prepare(f"models:\n  made: {{path: {self.model}}}\n")

    def cases(self) -> Iterator[Case]:
        """Yield what is measured in a round, each of ours beside its yardstick."""
        yield from self.building()
        if self.whole:
            yield from self.by_hand()
        yield from self.neighbours()
        yield from self.using()
        if self.throttle:
            yield from self.held(self.throttle)
        yield from self.auditing()
        yield from self.by_another()

    def building(self) -> Iterator[Case]:
        """Yield the build, whose bundle stays, and what takes the same bytes."""
        yield self.build()
        tar, model = self.work / "tar", shlex.quote(str(self.model))
        line = f"tar -c -C {model} . | zstd -T0 -3 -q >model.tar.zst"
        yield Case(TAR, shell(tar, line), tar, [self.model])
        if self.part:
            yield self._best(self.work / "best")

    def build(self) -> Case:
        """Return the build."""
        options = ("--part-size", self.pack_size, "--cache", self.work / "cache")
        out = self.work / "out"
        command = self.site.build(out, *options)
        return Case("build", command, out, [self.model], keeps=True)

    def by_hand(self) -> Iterator[Case]:
        """Yield the pipeline one types, and the way back."""
        hand, back, key = self.work / "hand", self.work / "back", self.site.key
        model, parts = shlex.quote(str(self.model)), shlex.quote(str(hand))
        pack = shell(
            hand,
            f"tar -c -C {model} . | zstd -T0 -3 -q | split -b 4G - part.",
            "sha256sum part.* >sums",
            f"ssh-keygen -q -Y sign -f {key} -n file sums",
            f'echo "me $(cat {key}.pub)" >signers',
        )
        yield Case(BY_HAND, pack, hand, [self.model], keeps=True)
        unpack = shell(
            back,
            f"here=$PWD; cd {parts}",
            "ssh-keygen -q -Y verify -f signers -I me -n file -s sums.sig <sums",
            "sha256sum -c --quiet sums",
            'cat part.* | zstd -d -q | tar -x -C "$here"',
            'sync -f "$here"',
        )
        yield Case(BACK, unpack, back, [hand], ends=[hand])

    def neighbours(self) -> Iterator[Case]:
        """Yield lmzip and modelferry, as far as they are there."""
        out, back = self.work / "peer", self.work / "peer-back"
        archive, sync = out / "model.lmz", f"sync -f {shlex.quote(str(back))}"
        if "lmzip" in self.peers.versions:
            pack = self.peers.lmz("compress", "-q", self.model, archive)
            yield Case(LMZ, pack, out, [self.model], keeps=True, optional=True)
            unpack = self.peers.lmz("decompress", "-q", archive, back / "model")
            lines = shell(back, shlex.join(unpack), sync)
            back_case = Case(UNLMZ, lines, back, [out], ends=[out], needs=LMZ)
            yield replace(back_case, optional=True)
        if "modelferry" in self.peers.versions and self.hub:
            for case in self._ferry(out, back):
                yield replace(case, seldom=True, optional=True)

    def _ferry(self, out: Path, back: Path) -> Iterator[Case]:
        pack = self.peers.pack(out, self.hub)
        yield Case(FERRY, pack, out, [self.model], keeps=True)
        packed = next((out / "bundle").glob("*"), out)
        look = self.peers.modelferry("verify", "--quiet", packed)
        yield Case(CHECK, look, self.work / "peer-none", [out], needs=FERRY)
        unpack = self.peers.modelferry("unpack", packed, back / "model")
        yield Case(UNFERRY, unpack, back, [out], ends=[out], needs=FERRY)

    def using(self) -> Iterator[Case]:
        """Yield what is done with the bundle, and its yardsticks."""
        self.facts |= {
            "stored": size_of(self.bundle),
            "index": (self.bundle / "index.json").stat().st_size,
        }
        none, host, copy = (self.work / name for name in ("none", "host", "copy"))
        installer, bundle = self.site.installer, self.bundle
        yield Case("verify", installer("verify", none, bundle), none, [bundle])
        yield Case(OF_BUNDLE, digests(bundle), none, [bundle])
        install = installer("install", host, bundle)
        yield Case("install", install, host, [bundle], keeps=True)
        yield Case(CP, self._copy(copy), copy, [self.model])

    def held(self, throttle: Throttle) -> Iterator[Case]:
        """Yield the install from a slow medium, and `cp` of the plain files from it."""
        slow, copy = self.work / "slow", self.work / "slow-copy"
        install = throttle.wrap(self.site.installer("install", slow, self.bundle))
        yield Case(HELD, install, slow, [self.bundle])
        yield Case(CP_HELD, throttle.wrap(self._copy(copy)), copy, [self.model])

    def auditing(self) -> Iterator[Case]:
        """Yield the audit of what was installed, and its yardstick."""
        none, host = self.work / "none", self.work / "host"
        audit = self.site.installer("audit", host, program=self.bundle / INSTALLER)
        yield Case("audit", audit, none, [host])
        store = digests(host / "state/store")
        yield Case(OF_WEIGHTS, store, none, [host], ends=[host])

    def by_another(self) -> Iterator[Case]:
        """Yield an install by a Python that has numpy; then the bundle goes."""
        other, ends = self.work / "other", [self.work / "out"]
        install = self.site.installer("install", other, self.bundle)
        command = [sys.executable, *install[1:]]
        reads = [self.bundle]
        yield Case(WITH_NUMPY, command, other, reads, ends=ends, seldom=True)

    def _copy(self, folder: Path) -> list[str]:
        return shell(folder, f"cp -r {shlex.quote(str(self.model))} copy", "sync -f .")

    def _best(self, folder: Path) -> Case:
        part = cut_of(self.bundle, self.part)
        self.facts |= {"part": part.size, "part stored": part.stored}
        file = shlex.quote(str(self.model / part.path))
        line = f"head -c {part.size} {file} | zstd -T0 -19 -q >part.zst"
        return Case(BEST, shell(folder, line), folder, [self.model], seldom=True)


@dataclass(frozen=True)
class Cut:
    """The first chunks of a bundle's largest file: plain bytes, and as stored."""

    path: str
    size: int
    stored: int


def cut_of(bundle: Path, size: int) -> Cut:
    """Return chunks of about `size` bytes from the start of the largest file."""
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    index = json.loads((bundle / "index.json").read_bytes())
    (model,) = manifest["models"]
    file = max(model["files"], key=lambda each: each["size"])
    (numbers,) = (
        each["chunks"] for each in index["contents"] if each["digest"] == file["digest"]
    )
    plain = stored = 0
    for number in numbers:
        if plain >= size:
            break
        chunk = index["chunks"][number]
        plain += chunk["size"]
        stored += chunk.get("stored_size", chunk["size"])
    return Cut(file["path"], plain, stored)
