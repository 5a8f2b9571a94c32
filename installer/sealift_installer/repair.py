"""What this host lacks of a bundle: nothing that the media or the store give whole."""

from __future__ import annotations

from typing import Iterable, List, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.errors import (
    EngineError,
    ImageLoadError,
    PreflightError,
    SealiftError,
)
from sealift_manifests.model import FORMAT
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.repair import REQUEST_TYPE, RepairRequest, ranges_of
from sealift_manifests.verify import Progress

from sealift_installer import journal
from sealift_installer.host import Host
from sealift_installer.install import make_plan, needed_contents
from sealift_installer.layout import Layout
from sealift_installer.measure import read_good
from sealift_installer.plan import InstallPlan
from sealift_installer.ranges import covers

_scratch = Scratch()


def plan_here(host: Host, bundle: Bundle) -> InstallPlan:
    """Return what an install would do; where no engine answers, with all images."""
    try:
        facts = host.engine_for(bundle.manifest)
        return make_plan(host, bundle, facts, repair=False)
    except (EngineError, ImageLoadError, PreflightError):
        # What keeps an install from beginning keeps no medium from being mended.
        return make_plan(host, bundle, None, repair=False)


def wanted_chunks(bundle: Bundle, plan: InstallPlan) -> Tuple[int, ...]:
    """Return the chunks that the plan reads, in the order they lie."""
    contents = bundle.index.contents
    digests = needed_contents(bundle, plan)
    numbers = {n for digest in digests for n in contents[digest].chunks}
    # What a delta leaves out is in no pack: a patch could not bring it.
    return tuple(n for n in sorted(numbers) if not bundle.index.chunks[n].is_base)


def lacking_chunks(
    bundle: Bundle, numbers: Iterable[int], progress: Progress
) -> Tuple[int, ...]:
    """Return those of the chunks that no source gives as they were signed.

    Each is read until one copy is good, from the media and not from the cache.
    """
    bundle.media.drop_cache()
    numbers = tuple(numbers)

    def is_good(number: int) -> bool:
        stored = _scratch.take(bundle.index.chunks[number].stored_size)
        try:
            bundle.read_stored(number, stored)
        except SealiftError:
            return False
        return True

    lacking = []
    found = ordered_map(is_good, map(bundle.expect, numbers))
    for number, good in zip(numbers, found):
        progress(bundle.index.chunks[number].stored_size)
        if not good:
            lacking.append(number)
    return tuple(lacking)


def not_kept(
    layout: Layout, bundle: Bundle, plan: InstallPlan, lacking: Iterable[int]
) -> Tuple[int, ...]:
    """Return those of the chunks that no install that was cut off has left on the disk.

    What it has left is measured. A chunk of two files has to be there in both.
    """
    index, asked, needed = bundle.index, frozenset(lacking), set()
    for digest in needed_contents(bundle, plan):
        content = index.contents[digest]
        path, kept = journal.unfinished(layout, digest), journal.had(layout, content)
        for number, start in index.places(content):
            chunk = index.chunks[number]
            if number in asked and not (
                covers(kept, (start, start + chunk.size))
                and read_good(path, start, _scratch.take(chunk.size), chunk.digest)
            ):
                needed.add(number)
    return tuple(sorted(needed))


def lacking_files(bundle: Bundle) -> List[str]:
    """Return the small files of which no medium has a good copy."""
    lacking = []
    for name in bundle.small_files:
        try:
            bundle.document(name)
        except SealiftError:
            lacking.append(name)
    return lacking


def request_for(
    bundle: Bundle, chunks: Iterable[int], files: Iterable[str]
) -> RepairRequest:
    """Return the request for these chunks and small files."""
    return RepairRequest(
        format=FORMAT,
        type=REQUEST_TYPE,
        name=bundle.manifest.name,
        version=bundle.manifest.version,
        root=bundle.root,
        chunks=ranges_of(chunks),
        files=tuple(files),
    )
