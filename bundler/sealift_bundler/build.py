"""Build a bundle: gather, pack in one pass, describe, sign, read back, commit.

Tells the story; the work is in the modules it calls. Until the last step nothing
stands under the bundle's final name; what is packed when a build fails or is killed is
kept under a hidden one, and the next build goes on there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sealift_manifests.bundle import (
    GUIDE_NAME,
    INDEX_NAME,
    INSTALLER_NAME,
    MANIFEST_NAME,
    check_consistent,
)
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.index import Index, dump_index
from sealift_manifests.model import BUNDLE_TYPE, FORMAT, Manifest, dump_manifest
from sealift_manifests.preflight.diff import survey_facts, survey_file
from sealift_manifests.preflight.findings import Acceptance
from sealift_manifests.preflight.needs import Needs
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.sums import SUMS_NAME, format_sums
from sealift_manifests.trust import Trust

from sealift_bundler import __version__
from sealift_bundler.compose import Stack
from sealift_bundler.draft import Draft, draft, resolve_sources
from sealift_bundler.gather_images import GatheredImage, gather_images, image_pins
from sealift_bundler.gather_models import Workplace, gather_models, model_pins
from sealift_bundler.guide import install_guide
from sealift_bundler.installer_zip import installer_bytes
from sealift_bundler.lock import (
    Lock,
    lock_path,
    require_locked,
    require_same,
    sources_of,
)
from sealift_bundler.output import output_faults
from sealift_bundler.pack import Packer
from sealift_bundler.pack_images import pack_images
from sealift_bundler.pack_models import GatheredModel, pack_model
from sealift_bundler.pack_stack import load_stack, pack_stack
from sealift_bundler.readback import read_back
from sealift_bundler.report import Report
from sealift_bundler.room import least_size, require_room
from sealift_bundler.signing import Signer, named_signers, sign_sums
from sealift_bundler.spec import Spec
from sealift_bundler.spec_load import load_spec
from sealift_bundler.surveys import (
    NONE_ACCEPTED,
    Judged,
    Survey,
    judge,
    read_surveys,
    require,
)
from sealift_bundler.target import Target, open_target
from sealift_bundler.unfinished import kept_is_told, tell_found, tell_resumed


@dataclass(frozen=True)
class BuildRequest:
    """What to build and how. `created` is stated in the bundle; sizes are in bytes.

    With `fresh`, what an unfinished build has left is not continued.

    Of the hosts whose surveys are given, none may have a fail that `acceptance` does
    not take on.
    """

    spec_path: Path
    output: Path
    signers: Sequence[Signer]
    cache: Path
    created: datetime
    survey_paths: Sequence[Path] = ()
    acceptance: Acceptance = NONE_ACCEPTED
    tar: bool = False
    part_size: int = 2**32 - 1
    locked: bool = False
    update: bool = False
    fresh: bool = False
    insecure: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Built:
    """A finished bundle: where it is, what it holds, how long it took (seconds).

    `judged`: the surveyed hosts, and what was found about them.
    """

    path: Path
    manifest: Manifest
    index: Index
    root: Digest
    plain_size: int
    stored_size: int
    seconds: Mapping[str, float]
    judged: tuple[Judged, ...] = ()


@dataclass(frozen=True)
class _Job:
    """What is known before anything is fetched: spec, stack, place, hosts."""

    request: BuildRequest
    spec: Spec
    stack: Stack | None
    place: Workplace
    signers: Sequence[tuple[str, Signer]]
    surveys: Sequence[Survey]


@dataclass(frozen=True)
class _Gathered:
    models: list[GatheredModel]
    images: list[GatheredImage]

    @property
    def size(self) -> int:
        """Bytes to pack, about: those of images in the engine are an estimate."""
        models = sum(model.size for model in self.models)
        return models + sum(image.size for image in self.images)

    def files(self) -> Iterator[tuple[Path, int]]:
        """Yield the files of this machine that are packed, and their sizes."""
        for model in self.models:
            yield from ((file.source, file.size) for file in model.files)
        for image in self.images:
            blobs = (image.blobs or {}).values()
            yield from ((path, path.stat().st_size) for path in blobs)


def build(request: BuildRequest, report: Report) -> Built:
    """Build the bundle that the spec asks for."""
    clock = _Clock()
    job = _prepare(request, report, named_signers(request.signers))
    resolved = resolve_sources(job.spec, job.place)
    if job.surveys:
        _judge(job, draft(job.spec, job.stack, job.place, resolved).needs)
    with _target(request, job) as target:
        gathered = _Gathered(
            gather_models(job.spec, job.place, resolved.models),
            gather_images(job.spec, job.place, resolved.images),
        )
        clock.lap("gather")
        _check_room(request.output, target, gathered, report)
        resumed = partial(tell_resumed, report=report)
        with Packer(target, request.part_size, resumed) as packer:
            manifest, documents = _pack(packer, job, gathered)
            index = packer.finish()
        clock.lap("pack")
        judged = _judge(job, needs_of(manifest))
        lock = _lock(job, gathered, manifest)
        others: dict[str, bytes | Digest] = {**documents, **packer.pack_digests}
        root = _describe(target, manifest, index, others, job.signers)
        clock.lap("sign")
        read_back(target, _trust(job.signers), request.created, report)
        clock.lap("read back")
        # Before the bundle: a build that is killed in between uses the same pins again.
        lock.save(lock_path(request.spec_path))
        with output_faults(request.output):
            path = target.commit()
    return Built(
        path=path,
        manifest=manifest,
        index=index,
        root=root,
        plain_size=sum(content.size for content in index.contents.values()),
        stored_size=sum(pack.size for pack in index.packs),
        seconds=clock.laps,
        judged=judged,
    )


@contextmanager
def _target(request: BuildRequest, job: _Job) -> Iterator[Target]:
    """Give the place for the bundle; say what is found there, and what is left."""
    name = f"{job.spec.name}-{job.spec.version}"
    with open_target(
        request.output,
        name,
        tar=request.tar,
        mtime=job.place.epoch,
        fresh=request.fresh,
    ) as target:
        tell_found(target, job.place.report)
        with kept_is_told(target):
            yield target


def _check_room(
    directory: Path, target: Target, gathered: _Gathered, report: Report
) -> None:
    """Warn, or raise OutputError, when the bundle may or will not fit."""
    free = shutil.disk_usage(directory).free
    kept = target.record.stored_size
    most = gathered.size
    if free + kept < most:
        least = least_size(gathered.files())
        report.step(require_room(directory, free, least - kept, most - kept))


def plan(request: BuildRequest, report: Report) -> tuple[Draft, tuple[Judged, ...]]:
    """Return what a build would come to, and what was found about the hosts."""
    job = _prepare(request, report, ())
    resolved = resolve_sources(job.spec, job.place)
    found = draft(job.spec, job.stack, job.place, resolved)
    return found, judge(job.surveys, found.needs)


def _judge(job: _Job, needs: Needs) -> tuple[Judged, ...]:
    """Judge the surveyed hosts; raise PreflightError when one will not do."""
    judged = judge(job.surveys, needs)
    require(judged, job.request.acceptance, needs.name)
    return judged


def _prepare(
    request: BuildRequest, report: Report, signers: Sequence[tuple[str, Signer]]
) -> _Job:
    """Read spec, stack and lock, so that their faults are told before the work."""
    surveys = read_surveys(request.survey_paths)
    spec = load_spec(request.spec_path)
    stack = load_stack(spec)
    directory = request.spec_path.absolute().parent
    lock = Lock.load(lock_path(request.spec_path))
    if request.locked:
        require_locked(lock, sources_of(spec, directory))
    place = Workplace(
        directory=directory,
        cache=request.cache,
        lock=lock,
        update=request.update,
        insecure=request.insecure,
        epoch=int(request.created.timestamp()),
        report=report,
    )
    return _Job(request, spec, stack, place, signers, surveys)


def _lock(job: _Job, gathered: _Gathered, manifest: Manifest) -> Lock:
    """Return the lock of what was built; with `--locked` it must be the old one."""
    built = Lock.of(
        [
            *model_pins(manifest.models, job.spec, job.place),
            *image_pins(gathered.images, manifest.images, job.spec),
        ]
    )
    if job.request.locked:
        require_same(job.place.lock, built)
    return built


def _pack(
    packer: Packer, job: _Job, gathered: _Gathered
) -> tuple[Manifest, dict[str, bytes]]:
    """Pack everything; return the manifest and the small files that go with it."""
    spec, created = job.spec, job.request.created
    packer.expect(gathered.size)
    reads = sum(model.size for model in gathered.models)
    reads += sum(image.reads for image in gathered.images)
    with job.place.report.progress("packing", reads) as progress:
        taken = [pack_model(packer, model, progress) for model in gathered.models]
        packer.drain()
        finished = [model.finish() for model in taken]
        images = pack_images(packer, gathered.images, progress)
    models = tuple(entry for entry, _ in finished)
    manifest = Manifest(
        format=FORMAT,
        type=BUNDLE_TYPE,
        name=spec.name,
        version=spec.version,
        serial=spec.serial_at(created),
        platform=spec.platform,
        created=created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        builder=f"sealift {__version__}",
        models=models,
        images=images.entries,
        stack=(
            pack_stack(packer, job.stack, spec, images, models) if job.stack else None
        ),
        facts=survey_facts(
            (survey.digest for survey in job.surveys), job.request.acceptance.slugs
        ),
    )
    documents = {entry.listing_name: data for entry, data in finished}
    documents |= {survey_file(each.digest): each.data for each in job.surveys}
    return manifest, documents


def _trust(signers: Sequence[tuple[str, Signer]]) -> Trust:
    keys = [signer.public_key.fingerprint for _, signer in signers]
    return Trust.from_fingerprints(keys)


def _describe(
    target: Target,
    manifest: Manifest,
    index: Index,
    others: Mapping[str, bytes | Digest],
    signers: Sequence[tuple[str, Signer]],
) -> Digest:
    """Write the small files, SHA256SUMS and the signatures; return the root digest.

    `others` are small files to write, and digests of packs that are written.
    """
    files = {name: data for name, data in others.items() if isinstance(data, bytes)}
    files[MANIFEST_NAME] = dump_manifest(manifest)
    files[INDEX_NAME] = dump_index(index)
    files[INSTALLER_NAME] = installer_bytes()
    files[GUIDE_NAME] = install_guide(manifest, signers)
    digests = {name: data for name, data in others.items() if isinstance(data, Digest)}
    digests |= {name: digest_of(data) for name, data in files.items()}
    check_consistent(manifest, index, digests)
    files[SUMS_NAME] = sums = format_sums(digests)
    files |= sign_sums(sums, [signer for _, signer in signers])
    for name, data in sorted(files.items()):
        with output_faults(target.path.parent):
            sink = target.create(name)
            sink.write(data)
            sink.close()
    with output_faults(target.path.parent):
        target.finish()
    return digest_of(sums)


class _Clock:
    """Seconds spent in each part of the build."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = now - self._last
        self._last = now
