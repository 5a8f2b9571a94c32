"""`prune`: remove releases nobody needs any more, and what cut-off runs left behind.

Says first what would go and what it would free, and asks.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Dict, List

from sealift_manifests.sizes import counted, human

from sealift_installer.commands import (
    Result,
    add_installed_name,
    at_least_0,
    require_yes,
)
from sealift_installer.host import Host
from sealift_installer.prune import (
    KEPT_BEFORE,
    PruneOptions,
    PrunePlan,
    plan_prune,
    prune,
)


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_installed_name(parser)
    parser.add_argument(
        "--keep",
        type=at_least_0,
        default=KEPT_BEFORE,
        metavar="N",
        help="how many releases before the one in use to keep (default %(default)s)",
    )
    parser.add_argument(
        "--unfinished",
        action="store_true",
        help="give up installs that were not finished, with all they have so far",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would go, and remove nothing"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: Namespace, host: Host) -> Result:
    """Say what would go; remove it once somebody agrees."""
    options = PruneOptions(args.name, args.keep, args.unfinished)
    plan = plan_prune(host, options)
    shown = "\n".join(_lines(plan))
    if plan.is_empty or args.dry_run:
        return shown, {**_facts(plan), "removed": False, "freed": 0}
    host.report.step(shown)
    if not args.yes:
        require_yes("Remove this?", "nothing was removed")
    removed = prune(host, options, plan)
    text = (
        f"removed: {counted(len(plan.gone), 'release')}, "
        f"{counted(len(removed.images), 'image')}, "
        f"{counted(len(removed.volumes), 'volume')}, "
        f"{human(removed.freed)} of weights"
    )
    return text, {**_facts(plan), "removed": True, "freed": removed.freed}


def _lines(plan: PrunePlan) -> List[str]:
    lines = [f"keep    {one.title} ({one.name}): {why}" for one, why in plan.kept]
    lines += [f"remove  {one.title} ({one.name})" for one in plan.gone]
    lines += [f"remove  volume {name}: no release needs it" for name in plan.stray]
    if plan.leftovers.paths:
        lines.append(
            f"remove  {len(plan.leftovers.paths)} leftovers of runs that were cut off, "
            f"{human(plan.leftover_bytes)}"
        )
    lines += _of_unfinished(plan)
    lines += [f"stays   {one}" for one in plan.leftovers.foreign]
    if plan.is_empty:
        return [*lines, "nothing to remove"]
    frees = f"frees   {human(plan.weight_bytes)} of weights and leftovers"
    if plan.image_bytes:
        # Images of others may share these layers.
        frees += f", up to {human(plan.image_bytes)} of images"
    return [*lines, frees]


def _of_unfinished(plan: PrunePlan) -> List[str]:
    if plan.gives_up:
        return [
            f"forget  the install of {one}: it would start anew" for one in plan.begun
        ]
    lines = [f"stays   the install of {one}: run it again" for one in plan.begun]
    if plan.work:
        lines.append(
            f"stays   {human(plan.work_bytes)} verified for that; --unfinished removes "
            "it"
        )
    return lines


def _facts(plan: PrunePlan) -> Dict[str, Any]:
    return {
        "releases": [_release(one.manifest.name, one.name) for one in plan.gone],
        "kept": [
            {**_release(one.manifest.name, one.name), "why": why}
            for one, why in plan.kept
        ],
        "leftovers": list(plan.leftovers.paths),
        "volumes": list(plan.stray),
        "foreign": [vars(one) for one in plan.leftovers.foreign],
        "begun": [vars(one) for one in plan.begun],
        "forgotten": [vars(one) for one in plan.forgotten],
        "work": list(plan.work),
        "work_bytes": plan.work_bytes,
        "weight_bytes": plan.weight_bytes,
        "leftover_bytes": plan.leftover_bytes,
        "image_bytes": plan.image_bytes,
    }


def _release(bundle: str, name: str) -> Dict[str, Any]:
    return {"bundle": bundle, "release": name}
