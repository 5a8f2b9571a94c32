"""Build a bundle: gather, pack in one pass, describe, sign, read back, commit.

Tells the story; the work is in the modules it calls. Until the last step nothing
stands under the bundle's final name; what is packed when a build fails or is killed is
kept under a hidden one, and the next build goes on there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from functools import partial

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.index import Index
from sealift_manifests.model import BUNDLE_TYPE, FORMAT, Manifest
from sealift_manifests.preflight.diff import survey_facts, survey_file
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import Needs
from sealift_manifests.preflight.newest import TABLES_NAME
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.settings import FEATURE as SETTINGS_FEATURE
from sealift_manifests.smoke import FEATURE as SMOKE_FEATURE
from sealift_manifests.smoke import SECRETS_FEATURE
from sealift_manifests.stack_entries import StackEntry
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.trust import Trust
from sealift_manifests.volume_entries import FEATURE as VOLUMES_FEATURE

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
from sealift_bundler.gather_volumes import pack_volume, volume_pins
from sealift_bundler.hygiene.check import check_hygiene
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
from sealift_bundler.pinning import load_pinned_spec
from sealift_bundler.readback import read_back
from sealift_bundler.rehearsal.unsigned import check_rehearsable, rehearse_unsigned
from sealift_bundler.rehearsal.values import EVIDENCE_NAME, Evidence, dump_evidence
from sealift_bundler.report import Report
from sealift_bundler.room import least_size, require_room
from sealift_bundler.signed_files import Content, signed_files, write_files
from sealift_bundler.signing import Signer, named_signers
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
        gathered = _gather(job, resolved)
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
        root, evidence = _sign(target, job, Content(manifest, index, others), clock)
        trust = _trust(job.signers)
        read_back(target, trust, request.created, report, packer.read_back)
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
        evidence=evidence,
    )


def _packer(target: Target, job: Job) -> Packer:
    return Packer(
        target,
        job.request.part_size,
        partial(tell_resumed, report=job.place.report),
        held=job.bases.chunks,
    )


def _gather(job: Job, resolved: Resolved) -> Gathered:
    return Gathered(
        gather_models(job.spec, job.place, resolved.models),
        gather_images(job.spec, job.place, resolved.images),
        list(resolved.volumes.values()),
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
    spec = load_pinned_spec(request.spec_path, request.insecure)
    stack = load_stack(spec)
    if stack:
        spec = spec.without_images(stack.idle)
    directory = request.spec_path.absolute().parent
    if request.rehearsal:
        check_rehearsable(spec.name, stack)
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
            *volume_pins(manifest.volumes, job.spec, job.place),
        ]
    )
    if job.request.locked:
        require_same(job.place.lock, built)
    return built


def _pack(packer: Packer, job: Job, gathered: Gathered) -> _Packed:
    """Pack everything."""
    spec, created = job.spec, job.request.created
    packer.expect(gathered.size)
    with job.place.report.progress("packing", gathered.reads) as progress:
        taken = [pack_model(packer, model, progress) for model in gathered.models]
        packer.drain()
        finished = [model.finish() for model in taken]
        tables = job.tables.tables
        images = pack_images(packer, gathered.images, job.bases, progress, tables)
        volumes = [pack_volume(packer, each, progress) for each in gathered.volumes]
    models = tuple(entry for entry, _ in finished)
    stack = pack_stack(packer, job.stack, spec, images, models) if job.stack else None
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
        stack=stack,
        volumes=tuple(entry for entry, _ in volumes),
        features=_features(stack, has_volumes=bool(volumes)),
        facts=survey_facts(
            (survey.digest for survey in job.surveys), job.request.acceptance.slugs
        ),
    )
    documents = {entry.listing_name: data for entry, data in finished}
    documents |= {entry.listing_name: data for entry, data in volumes}
    documents |= {survey_file(each.digest): each.data for each in job.surveys}
    documents[TABLES_NAME] = job.tables.data
    advice = check_hygiene(spec, job.stack, images, created.date())
    return _Packed(manifest, documents, advice)


def _features(stack: StackEntry | None, *, has_volumes: bool) -> tuple[str, ...]:
    """Return what a reader of the manifest must understand beyond plain format 1."""
    used = {
        SETTINGS_FEATURE: stack is not None and stack.leaves_open,
        SMOKE_FEATURE: stack is not None and bool(stack.smoke),
        SECRETS_FEATURE: stack is not None and bool(stack.sent_secrets),
        VOLUMES_FEATURE: has_volumes,
    }
    return tuple(name for name, is_used in used.items() if is_used)


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


def _sign(
    target: Target, job: Job, content: Content, clock: Clock
) -> tuple[Digest, Evidence | None]:
    """Rehearse if that is asked for; sign and write; return the root digest too."""
    options, evidence = job.request.rehearsal, None
    if options:
        evidence = rehearse_unsigned(target, content, options, job.place.report)
        content = content.adding(EVIDENCE_NAME, dump_evidence(evidence))
        clock.lap("rehearse")
    files = signed_files(content, job.signers)
    write_files(target, files)
    clock.lap("sign")
    return digest_of(files[SUMS_NAME]), evidence
