"""What a build is asked, what it knows on the way, and what it returns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sealift_manifests.digests import Digest
from sealift_manifests.index import Index
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.findings import Acceptance, Finding
from sealift_manifests.preflight.newest import ChosenTables

from sealift_bundler.bases import Bases
from sealift_bundler.compose import Stack
from sealift_bundler.draft import Draft
from sealift_bundler.gather_images import GatheredImage
from sealift_bundler.gather_volumes import GatheredVolume
from sealift_bundler.pack_models import GatheredModel
from sealift_bundler.parity import Ratio
from sealift_bundler.rehearsal.values import Evidence, RehearsalOptions
from sealift_bundler.signing import Signer
from sealift_bundler.spec import Spec
from sealift_bundler.surveys import NONE_ACCEPTED, Judged, Survey
from sealift_bundler.workplace import Workplace


@dataclass(frozen=True)
class BuildRequest:
    """What to build and how. `created` is stated in the bundle; sizes are in bytes.

    With `fresh`, what an unfinished build has left is not continued.

    Of the hosts whose surveys are given, none may have a fail that `acceptance` does
    not take on; `tables_path` may have newer NVIDIA tables to judge them by. What the
    bases have is left out. With a `rehearsal`, it is rehearsed before it is signed.
    """

    spec_path: Path
    output: Path
    signers: Sequence[Signer]
    cache: Path
    created: datetime
    survey_paths: Sequence[Path] = ()
    base_paths: Sequence[Path] = ()
    acceptance: Acceptance = NONE_ACCEPTED
    tables_path: Path | None = None
    tar: bool = False
    part_size: int = 2**32 - 1
    parity: Ratio | None = None
    locked: bool = False
    update: bool = False
    fresh: bool = False
    insecure: frozenset[str] = frozenset()
    rehearsal: RehearsalOptions | None = None


@dataclass(frozen=True)
class Built:
    """A finished bundle: where it is, what it holds, how long it took (seconds).

    `judged`: the surveyed hosts, and what was found about them; `tables`: by what;
    `advice`: what could be better about images and stack; `evidence`: what its
    rehearsal has shown.
    """

    path: Path
    manifest: Manifest
    index: Index
    root: Digest
    seconds: Mapping[str, float]
    tables: ChosenTables
    judged: tuple[Judged, ...] = ()
    advice: tuple[Finding, ...] = ()
    evidence: Evidence | None = None

    @property
    def plain_size(self) -> int:
        """Bytes of all files together, each once."""
        return sum(content.size for content in self.index.contents.values())

    @property
    def stored_size(self) -> int:
        """Bytes of all packs together."""
        return sum(pack.size for pack in self.index.packs)


@dataclass(frozen=True)
class Planned:
    """What a build would come to, and what was found about the surveyed hosts."""

    draft: Draft
    judged: tuple[Judged, ...]
    tables: ChosenTables


@dataclass(frozen=True)
class Job:
    """What is known before anything is fetched: spec, stack, place, hosts."""

    request: BuildRequest
    spec: Spec
    stack: Stack | None
    place: Workplace
    signers: Sequence[tuple[str, Signer]]
    surveys: Sequence[Survey]
    tables: ChosenTables
    bases: Bases


@dataclass(frozen=True)
class Gathered:
    """Everything that is to be packed, on this machine."""

    models: list[GatheredModel]
    images: list[GatheredImage]
    volumes: list[GatheredVolume]

    @property
    def size(self) -> int:
        """Bytes to pack, about: those of images in the engine are an estimate."""
        models = sum(model.size for model in self.models)
        volumes = sum(volume.size for volume in self.volumes)
        return models + volumes + sum(image.size for image in self.images)

    @property
    def reads(self) -> int:
        """Bytes that packing reads, as its progress counts them."""
        plain = [each.size for each in self.models]
        plain += [each.size for each in self.volumes]
        return sum(plain) + sum(image.reads for image in self.images)

    def files(self) -> Iterator[tuple[Path, int]]:
        """Yield the files of this machine that are packed, and their sizes."""
        for model in self.models:
            yield from ((file.source, file.size) for file in model.files)
        for image in self.images:
            blobs = (image.blobs or {}).values()
            yield from ((path, path.stat().st_size) for path in blobs)


class Clock:
    """Seconds spent in each part of the build."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """Note how long it took since the last lap."""
        now = time.monotonic()
        self.laps[name] = now - self._last
        self._last = now
