"""Install a bundle: verify, plan, check host and space, stage, load, write, switch.

The old release stays in use until the new one is whole. Running it again finishes
what was cut off, and does nothing when all is there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Dict, FrozenSet, Mapping, Optional, Sequence, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest
from sealift_manifests.errors import PayloadError, PreflightError, StartError
from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.index import Content
from sealift_manifests.names import volume_name
from sealift_manifests.preflight.findings import Acceptance
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.trust import Accepted, check_signatures
from sealift_manifests.verify import verify_outline

from sealift_installer import durable, journal, releases, site, space, store, trees
from sealift_installer.apply import apply, settle, stack_digests
from sealift_installer.compose import Compose
from sealift_installer.containers import require_unmounted
from sealift_installer.data_filling import leave_alone
from sealift_installer.data_volumes import (
    check_restore,
    data_needs,
    settled,
)
from sealift_installer.delta import require_base, with_base
from sealift_installer.engine import EngineFacts
from sealift_installer.host import Host
from sealift_installer.host_trust import NamedKeys, remember, trust_to_install
from sealift_installer.image_audit import audit_image
from sealift_installer.image_recovery import Recovery
from sealift_installer.images import (
    PRESENT,
    image_state,
    prove_image,
    refuse_other,
)
from sealift_installer.layout import Layout
from sealift_installer.measure import bad_contents
from sealift_installer.nvidia_tables import tables_for
from sealift_installer.plan import HostState, InstallPlan, plan_install
from sealift_installer.preflight import (
    NONE_ACCEPTED,
    Grounds,
    Verdict,
    accepted_fact,
    judge_gpus,
    surveys_in,
    tell,
)
from sealift_installer.site import Site
from sealift_installer.site_changes import settle_site
from sealift_installer.slot import Slot
from sealift_installer.volumes import volume_fault


@dataclass(frozen=True)
class InstallOptions:
    """How to install. `repair` re-measures what is staged and replaces what is bad.

    `downgrade_reason` permits a lower serial than this host has had; `acceptance`
    takes fails of the preflight on. With `swap` the media may come one by one. `given`
    are settings of this site, `restore` the volumes of data whose content is replaced,
    `is_lossy` lets what they hold be kept without attributes that a copy loses.
    """

    named: NamedKeys
    repair: bool = False
    downgrade_reason: Optional[str] = None
    acceptance: Acceptance = NONE_ACCEPTED
    swap: bool = False
    given: Mapping[str, str] = field(default_factory=dict)
    restore: FrozenSet[str] = frozenset()
    is_lossy: bool = False


@dataclass(frozen=True)
class Installed:
    """What an install did: the bundle, the plan it carried out, where it lies.

    `verdict` is what was found on the host before, `site` how it is set for the bundle.
    """

    bundle: Bundle
    plan: InstallPlan
    path: str
    verdict: Verdict
    site: Site


def install(host: Host, places: Sequence[str], options: InstallOptions) -> Installed:
    """Bring the host to the bundle at these places."""
    trust = trust_to_install(host.layout, options.named)
    with Slot(host, places, trust, swap=options.swap) as slot:
        bundle = slot.bundle
        _introduce(host, bundle)
        releases.check_serial(
            host.layout, bundle, allow_downgrade=options.downgrade_reason is not None
        )
        site.check_before(host.layout, bundle.manifest, options.given)
        facts = host.engine_for(bundle.manifest)
        restore, is_lossy = options.restore, options.is_lossy
        check_restore(host, bundle.manifest, restore, is_lossy=is_lossy)
        plan = make_plan(host, bundle, facts, repair=False, restore=restore)
        verdict = _judge(host, bundle, plan, options)
        check_before(host, bundle, plan, facts, swap=options.swap)
        with host.locked(), durable.failures_told(host.layout.state):
            _check_again(host, bundle, options)
            return _carry_out(host, slot, facts, options, verdict)


def _carry_out(
    host: Host,
    slot: Slot,
    facts: Optional[EngineFacts],
    options: InstallOptions,
    verdict: Verdict,
) -> Installed:
    """Plan once more, with the lock held, and do it."""
    bundle = slot.bundle = with_base(host.layout, slot.bundle)
    restore = options.restore
    plan = make_plan(host, bundle, facts, repair=options.repair, restore=restore)
    leave_alone(host, bundle.manifest, plan.data)
    journal.sweep(host.layout, (content.digest for content in plan.contents))
    taken_back = check_before(host, bundle, plan, facts, swap=options.swap)
    path = host.layout.release(bundle.manifest, bundle.root)
    if facts and plan.write_release and os.path.isdir(path):
        require_unmounted(host.engine, path, host.layout.state)
    reason = options.downgrade_reason
    extra = {"downgrade_reason": reason} if reason else {}
    if not plan.is_empty:
        # Before the work: what is begun must be answered for, finished or not.
        host.log("install-begun", bundle.manifest, root=bundle.root, **extra)
        record = partial(_record, host, bundle, facts, verdict)
        apply(host, slot, plan, record, taken_back, restore)
    # Also when all is there: a run may have been cut off before this.
    _put_in_use(host.layout, bundle, options, plan)
    if releases.is_new_serial(host.layout, bundle) or not plan.is_empty:
        extra.update(accepted_fact(verdict))
        host.log("install", bundle.manifest, root=bundle.root, **extra)
    # Last: with a new serial, a run that was cut off is logged by the next.
    releases.write_serial(host.layout, bundle)
    settled = settle_site(host, bundle.manifest, options.given)
    return Installed(bundle, plan, path, verdict, settled)


def _put_in_use(
    layout: Layout, bundle: Bundle, options: InstallOptions, plan: InstallPlan
) -> None:
    """Switch to the release, when all that it needs is durable.

    The keys go first: without them a release in use could not be audited.
    """
    if releases.is_new_serial(layout, bundle) or not plan.is_empty:
        settle(layout, bundle)
    remember(layout, options.named, bundle.accepted)
    name = bundle.manifest.name
    if plan.switch:
        path = layout.release(bundle.manifest, bundle.root)
        releases.switch(layout, name, path)
    durable.sync_directory(os.path.dirname(layout.current(name)))


def _judge(
    host: Host, bundle: Bundle, plan: InstallPlan, options: InstallOptions
) -> Verdict:
    """Look at the host, unless nothing is left to do on it."""
    if plan.is_empty:
        return Verdict()
    manifest = bundle.manifest
    grounds = Grounds(
        tables_for(host, bundle),
        options.acceptance,
        surveys_in(manifest, bundle.document),
    )
    needs = site.site_needs(host.layout, manifest, options.given)
    verdict = judge_gpus(host, needs, grounds)
    verdict.require(f"{manifest.name} {manifest.version}")
    tell(host, verdict)
    return verdict


def _check_again(host: Host, bundle: Bundle, options: InstallOptions) -> None:
    """Ask what decides once more: another install may have overtaken this one."""
    trust = trust_to_install(host.layout, options.named)
    sums = bundle.documents[SUMS_NAME]
    check_signatures(sums, bundle.signatures, trust, host.now())
    releases.check_serial(
        host.layout, bundle, allow_downgrade=options.downgrade_reason is not None
    )


def make_plan(
    host: Host,
    bundle: Bundle,
    facts: Optional[EngineFacts],
    *,
    repair: bool,
    restore: FrozenSet[str] = frozenset(),
) -> InstallPlan:
    """Read the host's state and decide what is left to do.

    With `repair` what is there is measured, and what is damaged counts as missing.
    Volumes of data in `restore` are filled whatever they hold.
    Raises ImageLoadError when an image's name is taken by another image.
    """
    layout, manifest = host.layout, bundle.manifest
    missing = store.missing_contents(layout, bundle)
    if repair:
        missing = (*missing, *_bad(host, bundle, missing))
    gone = {content.digest for content in missing}
    whole = frozenset(
        model.name
        for model in manifest.models
        if trees.has_tree(layout, model)
        and not gone.intersection(file.digest for file in model.files)
        and not (repair and trees.compare_names(layout.tree(model), model)[0])
    )
    path = layout.release(manifest, bundle.root)
    state = HostState(
        missing_contents=missing,
        trees=whole,
        volumes=_volumes(host, bundle) if facts else frozenset(),
        images=_images(host, bundle, measure=repair) if facts else frozenset(),
        has_engine=facts is not None,
        has_release=_has_release(layout, bundle, compare=repair),
        current=releases.current_path(layout, manifest.name),
        release=os.path.realpath(path),
        data=settled(host, manifest, restore) if facts else frozenset(),
    )
    return plan_install(manifest, state)


def _has_release(layout: Layout, bundle: Bundle, *, compare: bool) -> bool:
    stack = bundle.manifest.stack
    digests = [file.digest for file in stack.files] if stack and compare else []
    numbers = [n for d in digests for n in bundle.index.contents[d].chunks]
    # What cannot be compared yet, for its medium comes later, is written again.
    here = all(map(bundle.is_at_hand, numbers))
    return here and releases.is_whole(layout, bundle, compare=compare)


def check_before(
    host: Host,
    bundle: Bundle,
    plan: InstallPlan,
    facts: Optional[EngineFacts],
    *,
    swap: bool,
) -> Dict[str, Recovery]:
    """Raise for what would stop the plan half-way and can be known before it.

    That is a damaged small file or, without `swap`, a pack that is not there, a
    release that a delta builds on, or a file system that cannot take what will be
    written. Returns how images get the layers that a delta leaves out, by name.
    """
    if plan.is_empty:
        return {}
    taken_back = require_base(host.layout, host.engine, bundle, plan, facts)
    if swap:
        verify_outline(bundle, ())
    else:
        _require_packs(bundle, plan)
    needs = [_weights_need(host.layout, plan)]
    if facts and facts.is_local and os.path.isdir(facts.root_dir):
        needs += [
            space.recovery_need(facts.root_dir, image, taken_back[image.name])
            if image.name in taken_back
            else space.image_need(facts.root_dir, image)
            for image in plan.images
        ]
        needs += data_needs(host, facts, bundle.manifest, plan.data)
    space.check_space(needs)
    if bundle.manifest.stack:
        require_compose(host)
    return taken_back


def needed_contents(bundle: Bundle, plan: InstallPlan) -> FrozenSet[Digest]:
    """Return the contents that the plan reads from the media."""
    needed = {content.digest for content in plan.contents}
    needed.update(blob.digest for image in plan.images for blob in image.blobs)
    items = (item for volume in plan.data for item in volume.items)
    needed.update(item.digest for item in items if item.digest is not None)
    return frozenset(needed) | stack_digests(bundle, plan)


def _require_packs(bundle: Bundle, plan: InstallPlan) -> None:
    try:
        verify_outline(bundle, needed_contents(bundle, plan))
    except PayloadError as error:
        raise PayloadError(
            error.message,
            hint=f"{error.hint} With one slot for several media, add --swap.",
        ) from error


def _weights_need(layout: Layout, plan: InstallPlan) -> space.Need:
    block = space.probe(layout.state).block
    need = space.weights_need(layout.state, plan.contents, plan.trees, block)
    # What a run that was cut off has written is used, or makes room.
    return replace(need, size=max(0, need.size - journal.allocated(layout)))


def require_compose(host: Host) -> None:
    """Tell now, not at the first start, that nothing here can run the stack."""
    try:
        Compose.find(host.engine)
    except StartError as error:
        raise PreflightError(error.message, hint=error.hint) from error


def _introduce(host: Host, bundle: Bundle) -> None:
    manifest = bundle.manifest
    signers = ", ".join(_signer(one) for one in bundle.accepted)
    host.report.step(
        f"{manifest.name} {manifest.version} (serial {manifest.serial}, built "
        f"{manifest.created}), signed by {signers}"
    )
    for doubt in bundle.doubts:
        host.report.step(f"set aside: {doubt}")


def _signer(one: Accepted) -> str:
    if one.principal == one.key.fingerprint:
        return one.principal
    return f"{one.principal} ({one.key.fingerprint})"


def _bad(host: Host, bundle: Bundle, missing: Sequence[Content]) -> Tuple[Content, ...]:
    absent = {content.digest for content in missing}
    wanted = {file.digest for model in bundle.manifest.models for file in model.files}
    present = [bundle.index.contents[digest] for digest in sorted(wanted - absent)]
    total = sum(content.size for content in present)
    with host.report.progress("measuring staged weights", total) as progress:
        return bad_contents(host.layout, bundle.index, present, progress)


def _volumes(host: Host, bundle: Bundle) -> FrozenSet[str]:
    return frozenset(
        model.name
        for model in bundle.manifest.models
        if volume_fault(
            host.engine,
            volume_name(bundle.manifest.name, model.name, model.tree),
            host.layout.tree(model),
        )
        is None
    )


def _images(host: Host, bundle: Bundle, *, measure: bool) -> FrozenSet[str]:
    for image in bundle.manifest.images:
        refuse_other(host.engine, image)
    return frozenset(
        image.name
        for image in bundle.manifest.images
        if image_state(host.engine, image) == PRESENT
        and not (measure and _is_damaged(host, image))
    )


def _is_damaged(host: Host, image: ImageEntry) -> bool:
    host.report.step(f"reading image {image.name} back out of the engine")
    return bool(prove_image(host.engine, image) or audit_image(host.engine, image))


def _record(
    host: Host, bundle: Bundle, facts: Optional[EngineFacts], verdict: Verdict
) -> releases.ReleaseRecord:
    manifest = bundle.manifest
    return releases.ReleaseRecord(
        bundle=manifest.name,
        version=manifest.version,
        serial=manifest.serial,
        root=bundle.root,
        installed=host.now().strftime(releases.TIME),
        signed_by=tuple(one.key.fingerprint for one in bundle.accepted),
        engine={"name": facts.name, "version": facts.version} if facts else {},
        accepted=verdict.accepted,
    )
