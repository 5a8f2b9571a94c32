"""`install`: bring the bundle onto this host."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Iterator, Sequence

from sealift_manifests.bundle import Bundle
from sealift_manifests.names import data_volume_name
from sealift_manifests.preflight.words import acceptance_of
from sealift_manifests.sizes import counted, human

from sealift_installer.commands import (
    Result,
    add_accept,
    add_places,
    add_set,
    add_trust_options,
    named_keys,
    places_of,
    start_command,
)
from sealift_installer.gpu_check import GpuAnswer, check_gpus
from sealift_installer.host import Host
from sealift_installer.install import Installed, InstallOptions, install
from sealift_installer.plan import InstallPlan
from sealift_installer.site import given_pairs, site_needs
from sealift_installer.site_changes import new_settings


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_places(parser)
    add_trust_options(parser)
    add_accept(parser)
    add_set(parser)
    parser.add_argument(
        "--repair",
        action="store_true",
        help="measure what is staged already and replace what is damaged",
    )
    parser.add_argument(
        "--swap",
        action="store_true",
        help="the bundle's media come one by one, in any order, through one slot: "
        "take what is in, then ask for the next",
    )
    parser.add_argument(
        "--restore-volume",
        action="append",
        default=[],
        metavar="LABEL",
        help="replace what this volume of data holds with the bundle's; what it held "
        "is kept under another name (repeatable)",
    )
    parser.add_argument(
        "--without-attributes",
        action="store_true",
        help="with --restore-volume: accept that what is kept loses its extended "
        "attributes and ACLs",
    )
    parser.add_argument(
        "--allow-downgrade",
        metavar="REASON",
        help="accept a lower serial than this host has had; the reason is logged",
    )


def run(args: Namespace, host: Host) -> Result:
    """Install the bundle, or say that all is there."""
    reason = args.allow_downgrade
    if reason is not None:
        # Bytes that are no text in this terminal's encoding could not be read back.
        reason = os.fsencode(reason).decode("utf-8", "backslashreplace")
    taken = acceptance_of(args.accept)
    given, restore = given_pairs(args.set), frozenset(args.restore_volume)
    options = InstallOptions(
        named_keys(args),
        args.repair,
        reason,
        taken,
        args.swap,
        given,
        restore,
        args.without_attributes,
    )
    done = install(host, places_of(args), options)
    manifest, plan = done.bundle.manifest, done.plan
    # The release is whole by now: what CUDA says is told, and changes nothing.
    needs = site_needs(host.layout, manifest)
    answers = tuple(check_gpus(host.engine, manifest, needs)) if plan.images else ()
    return _text(host, done, answers), {
        "bundle": manifest.name,
        "version": manifest.version,
        "serial": manifest.serial,
        "root": done.bundle.root,
        "release": done.path,
        "changed": not plan.is_empty,
        "weight_bytes": plan.weight_bytes,
        "data": [data_volume_name(manifest.name, volume.name) for volume in plan.data],
        "images": [image.reference for image in plan.images],
        "rebuilt": done.bundle.rebuilt,
        "gpu_check": [dict(vars(answer)) for answer in answers],
        "settings": {"ready": not done.site.lines(), "open": done.site.lines()},
        **done.verdict.facts(),
    }


def _site_lines(host: Host, done: Installed) -> Iterator[str]:
    """Say what is new to decide here, and what must be decided before a start."""
    manifest = done.bundle.manifest
    for setting in new_settings(host, manifest):
        default = "no default" if setting.default is None else setting.default
        yield f"new setting {setting.name} ({default}): {setting.help or setting.range}"
    for fault in done.site.idle:
        yield f"in the site file, {fault}"
    for line in done.site.lines():
        yield f"before the start: {line}; see `settings {manifest.name}`"


def _text(host: Host, done: Installed, answers: Sequence[GpuAnswer]) -> str:
    manifest, plan = done.bundle.manifest, done.plan
    what = f"{manifest.name} {manifest.version}"
    if plan.is_empty:
        text = f"{what} is installed already: nothing to do"
    else:
        text = f"{what} is installed at {done.path}: {_done(plan)}"
        for answer in answers:
            text += f"\n{answer}"
        text += "".join(f"\nwarning: {line}" for line in _rebuilt(done.bundle))
    text += "".join(f"\n{line}" for line in _site_lines(host, done))
    if manifest.stack and not plan.is_empty:
        text += f"\nnext: {start_command(host, manifest.name)}"
    return text


def _done(plan: InstallPlan) -> str:
    """Say in words what the plan brought."""
    images = counted(len(plan.images), "image")
    text = f"{human(plan.weight_bytes)} of weights staged, {images} loaded"
    if plan.data:
        text += f", {counted(len(plan.data), 'volume')} of data filled"
    return text


def _rebuilt(bundle: Bundle) -> Iterator[str]:
    """Say which packs the media did not have whole, though parity did."""
    for name, count in bundle.rebuilt.items():
        bad = {c.file.place for c in bundle.bad_copies if c.file.label.endswith(name)}
        where = f"is damaged on {', '.join(sorted(bad))}" if bad else "was not there"
        yield (
            f"{name} {where}: {count} of its chunks were rebuilt from parity, and "
            "verified. Copy it to a good medium again before the next install"
        )
