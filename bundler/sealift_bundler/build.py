"""Build a bundle: gather, pack in one pass, describe, sign, read back, commit.

Tells the story; the work is in the modules it calls. Until the last step nothing
stands under the bundle's final name; what is packed when a build fails or is killed is
kept under a hidden one, and the next build goes on there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from functools import partial

from sealift_manifests.bundle import (
    GUIDE_NAME,
    INDEX_NAME,
    INSTALLER_NAME,
    MANIFEST_NAME,
)
from sealift_manifests.consistency import check_consistent
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.index import Index, dump_index
from sealift_manifests.model import BUNDLE_TYPE, FORMAT, Manifest, dump_manifest
from sealift_manifests.preflight.diff import survey_facts, survey_file
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import Needs
from sealift_manifests.preflight.newest import TABLES_NAME
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.smoke import FEATURE
from sealift_manifests.sums import SUMS_NAME, format_sums
from sealift_manifests.trust import Trust

from sealift_bundler import __version__
from sealift_bundler.bases import read_bases
from sealift_bundler.build_values import (
    BuildRequest,
    Built,
    Clock,
    Gathered,
    Job,
    Planned,
)
from sealift_bundler.draft import Resolved, draft, resolve_sources
from sealift_bundler.gather_images import gather_images, image_pins
from sealift_bundler.gather_models import gather_models, model_pins
from sealift_bundler.guide import install_guide
from sealift_bundler.hygiene.check import check_hygiene
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
from sealift_bundler.pack_models import pack_model
from sealift_bundler.pack_stack import load_stack, pack_stack
from sealift_bundler.parity import write_parity
from sealift_bundler.readback import read_back
from sealift_bundler.report import Report
from sealift_bundler.room import least_size, require_room
from sealift_bundler.signing import Signer, named_signers, sign_sums
from sealift_bundler.spec_load import load_spec
from sealift_bundler.surveys import (
    Judged,
    judge,
    read_surveys,
    require,
)
from sealift_bundler.tables import tables_of
from sealift_bundler.target import Target, open_target
from sealift_bundler.unfinished import kept_is_told, tell_found, tell_resumed
from sealift_bundler.workplace import Workplace


@dataclass(frozen=True)
class _Packed:
    """What was packed: the manifest, the small files that go with it, and advice."""

    manifest: Manifest
    documents: dict[str, bytes]
    advice: tuple[Finding, ...]


def build(request: BuildRequest, report: Report) -> Built:
    """Build the bundle that the spec asks for."""
    clock = Clock()
    job = _prepare(request, report, named_signers(request.signers))
    resolved = resolve_sources(job.spec, job.place)
    if job.surveys:
        _judge(job, draft(job.spec, job.stack, job.place, resolved).needs)
    with _target(request, job) as target:
        gathered = Gathered(
            gather_models(job.spec, job.place, resolved.models),
            gather_images(job.spec, job.place, resolved.images),
        )
        clock.lap("gather")
        _check_room(request, target, gathered, report)
        with _packer(target, job) as packer:
            packed = _pack(packer, job, gathered)
            index, digests = _finish(packer, target, job, clock)
        manifest = packed.manifest
        index = index._replace(bases=job.bases.used(index, manifest))
        judged = _judge(job, needs_of(manifest))
        lock = _lock(job, gathered, manifest, resolved)
        others: dict[str, bytes | Digest] = {**packed.documents, **digests}
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
        seconds=clock.laps,
        tables=job.tables,
        judged=judged,
        advice=packed.advice,
    )


def _packer(target: Target, job: Job) -> Packer:
    return Packer(
        target,
        job.request.part_size,
        partial(tell_resumed, report=job.place.report),
        held=job.bases.chunks,
    )


@contextmanager
def _target(request: BuildRequest, job: Job) -> Iterator[Target]:
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
    request: BuildRequest, target: Target, gathered: Gathered, report: Report
) -> None:
    """Warn, or raise OutputError, when the bundle may or will not fit."""
    free = shutil.disk_usage(request.output).free
    kept = target.record.stored_size
    most = gathered.size
    if request.parity:
        most += request.parity.bound(most, request.part_size)
    if free + kept < most:
        least = least_size(gathered.files())
        report.step(require_room(request.output, free, least - kept, most - kept))


def plan(request: BuildRequest, report: Report) -> Planned:
    """Return what a build would come to, and what was found about the hosts."""
    job = _prepare(request, report, ())
    resolved = resolve_sources(job.spec, job.place)
    found = draft(job.spec, job.stack, job.place, resolved)
    judged = judge(job.surveys, found.needs, job.tables.tables)
    return Planned(found, judged, job.tables)


def _judge(job: Job, needs: Needs) -> tuple[Judged, ...]:
    """Judge the surveyed hosts; raise PreflightError when one will not do."""
    judged = judge(job.surveys, needs, job.tables.tables)
    require(judged, job.request.acceptance, needs.name)
    return judged


def _prepare(
    request: BuildRequest, report: Report, signers: Sequence[tuple[str, Signer]]
) -> Job:
    """Read spec, stack and lock, so that their faults are told before the work."""
    surveys = read_surveys(request.survey_paths)
    tables = tables_of(request.tables_path)
    bases = read_bases(request.base_paths)
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
    return Job(request, spec, stack, place, signers, surveys, tables, bases)


def _lock(job: Job, gathered: Gathered, manifest: Manifest, resolved: Resolved) -> Lock:
    """Return the lock of what was built; with `--locked` it must be the old one."""
    built = Lock.of(
        [
            *model_pins(manifest.models, job.spec, job.place, resolved.models),
            *image_pins(gathered.images, manifest.images, job.spec),
        ]
    )
    if job.request.locked:
        require_same(job.place.lock, built)
    return built


def _pack(packer: Packer, job: Job, gathered: Gathered) -> _Packed:
    """Pack everything."""
    spec, created = job.spec, job.request.created
    packer.expect(gathered.size)
    reads = sum(model.size for model in gathered.models)
    reads += sum(image.reads for image in gathered.images)
    with job.place.report.progress("packing", reads) as progress:
        taken = [pack_model(packer, model, progress) for model in gathered.models]
        packer.drain()
        finished = [model.finish() for model in taken]
        tables = job.tables.tables
        images = pack_images(packer, gathered.images, job.bases, progress, tables)
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
        features=(FEATURE,) if spec.smoke else (),
        facts=survey_facts(
            (survey.digest for survey in job.surveys), job.request.acceptance.slugs
        ),
    )
    documents = {entry.listing_name: data for entry, data in finished}
    documents |= {survey_file(each.digest): each.data for each in job.surveys}
    documents[TABLES_NAME] = job.tables.data
    advice = check_hygiene(spec, job.stack, images, created.date())
    return _Packed(manifest, documents, advice)


def _finish(
    packer: Packer, target: Target, job: Job, clock: Clock
) -> tuple[Index, dict[str, Digest]]:
    """Close the packs, and write parity files if they are asked for.

    Returns the index of all these, and their digests.
    """
    index, ratio = packer.finish(), job.request.parity
    clock.lap("pack")
    if not ratio or not index.packs:
        return index, packer.pack_digests
    with job.place.report.progress("making parity", index.large_size) as progress:
        parity, digests = write_parity(target, index.packs, ratio, progress)
    clock.lap("parity")
    return index._replace(parity=parity), {**packer.pack_digests, **digests}


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

    `others` are small files to write, and digests of large ones that are written.
    """
    files = {name: data for name, data in others.items() if isinstance(data, bytes)}
    files[MANIFEST_NAME] = dump_manifest(manifest)
    files[INDEX_NAME] = dump_index(index)
    files[INSTALLER_NAME] = installer_bytes()
    files[GUIDE_NAME] = install_guide(manifest, index, signers)
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
