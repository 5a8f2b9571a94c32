"""`repair-request`: write down what no medium here has whole, for a patch to bring.
Changes nothing on this host."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from sealift_manifests import repair as documents
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.media import Media
from sealift_manifests.repair import RepairRequest
from sealift_manifests.sizes import counted, human

from sealift_installer import repair
from sealift_installer.carried import write_carried
from sealift_installer.commands import (
    Result,
    add_places,
    add_trust_options,
    named_keys,
    places_of,
)
from sealift_installer.host import Host
from sealift_installer.host_trust import trust_to_verify


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    add_places(parser)
    parser.add_argument(
        "-o",
        "--output",
        default="request.json",
        metavar="FILE",
        help="where to write it; default %(default)s",
    )
    add_trust_options(parser)


def run(args: Namespace, host: Host) -> Result:
    """Measure what this host still needs, and write down what is not whole."""
    trust = trust_to_verify(host.layout, named_keys(args))
    with Media(places_of(args)) as media:
        bundle = open_bundle(media, trust, host.now())
        plan = repair.plan_here(host, bundle)
        numbers = repair.wanted_chunks(bundle, plan)
        chunks = bundle.index.chunks
        total = sum(chunks[number].stored_size for number in numbers)
        with host.report.progress("looking for damage", total) as progress:
            lacking = repair.lacking_chunks(bundle, numbers, progress)
        lacking = repair.not_kept(host.layout, bundle, plan, lacking)
        files = [] if plan.is_empty else repair.lacking_files(bundle)
        size = sum(chunks[number].stored_size for number in lacking)
        what = f"{bundle.manifest.name} {bundle.manifest.version}"
        facts = {"root": bundle.root, "chunks": len(lacking), "files": files}
        if not lacking and not files:
            text = f"nothing is missing: this host can install {what} from these media"
            return text, {**facts, "needed": False}
        request = repair.request_for(bundle, lacking, files)
    data = documents.dump(request)
    path = write_carried(args.output, data)
    text = _advice(bundle, request, args.output, len(data), len(lacking), size)
    written = {"request": path, "size": len(data)}
    return text, {**facts, **written, "needed": True, "patch_size": size}


def _advice(
    bundle: Bundle, request: RepairRequest, path: str, size: int, chunks: int, need: int
) -> str:
    name = os.path.basename(path)
    parts = [counted(chunks, "chunk") + f", {human(need)}"] if chunks else []
    parts += [", ".join(request.files)] if request.files else []
    return (
        f"{path} ({human(size)}) asks for {' and '.join(parts)} of "
        f"{request.name} {request.version}\n"
        "next: carry it, or type it over, to where the whole bundle is; there:\n"
        f"  sealift repair BUNDLE {name} -o DIR --sign-key KEY\n"
        "then name the patch it writes as one more place: install BUNDLE... PATCH"
    )
