"""What installed releases have in the store: where each plain chunk lies.

A release's own index says so. It is a hint and no more: a chunk is hashed when it is
read, so an index that lies, or a file that was changed, is found out then.
"""

from __future__ import annotations

import os
from typing import Callable, Dict, Iterable, Iterator, Set, Tuple

from sealift_manifests.bundle import INDEX_NAME, Bundle, base_missing
from sealift_manifests.digests import Digest
from sealift_manifests.errors import DigestMismatchError, SealiftError
from sealift_manifests.index import Chunk, Content, Index, parse_index
from sealift_manifests.sizes import human

from sealift_installer import releases
from sealift_installer.layout import Layout
from sealift_installer.measure import read_good
from sealift_installer.releases import Release
from sealift_installer.store import is_stored

_SHOWN = 8


def readable_releases(
    layout: Layout, tell: Callable[[str], None] = lambda text: None
) -> Iterator[Tuple[Release, Index]]:
    """Yield the releases whose manifest and index still read, those in use first.

    `tell` is told why others are left out.
    """
    found = []
    for bundle in releases.bundles_with_releases(layout):
        current = releases.current_path(layout, bundle)
        folder = os.path.join(layout.releases, bundle)
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if not name.startswith("."):
                found.append((os.path.realpath(path) != current, path))
    for _, path in sorted(found):
        try:
            release = releases.read_release(path)
            index = parse_index(release.document(INDEX_NAME))
        except SealiftError as error:
            tell(f"left out: {error.message}")
            continue
        yield release, index


def stored_contents(
    layout: Layout, release: Release, index: Index
) -> Iterator[Content]:
    """Yield the release's model files that are in the store, by name and size."""
    models = release.manifest.models
    for digest in sorted({file.digest for model in models for file in model.files}):
        content = index.contents.get(digest)
        if content is not None and is_stored(layout, content):
            yield content


class StoreChunks:
    """Gives a delta the chunks that it leaves out, from the files in the store."""

    def __init__(self, layout: Layout, bundle: Bundle) -> None:
        self._bundle = bundle
        self._places: Dict[Digest, Dict[str, int]] = {}
        wanted = {chunk.digest for chunk in bundle.index.chunks if chunk.is_base}
        for release, index in readable_releases(layout):
            for content in stored_contents(layout, release, index):
                self._note(layout.content(content.digest), content, index, wanted)

    def _note(
        self, path: str, content: Content, index: Index, wanted: Set[Digest]
    ) -> None:
        for number, offset in index.places(content):
            digest = index.chunks[number].digest
            if digest in wanted:
                self._places.setdefault(digest, {}).setdefault(path, offset)

    def holds(self, chunk: Chunk) -> bool:
        """Say whether a file in the store should have these bytes."""
        return chunk.digest in self._places

    def read_plain(self, chunk: Chunk, target: memoryview) -> None:
        """Fill `target` from the first file whose bytes are good."""
        places = self._places.get(chunk.digest)
        if not places:
            raise base_missing(self._bundle, f"the store lacks chunk {chunk.digest}")
        for path, offset in places.items():
            if read_good(path, offset, target, chunk.digest):
                return
        path, offset = next(iter(places.items()))
        raise DigestMismatchError(
            f"{path}: bytes {offset} to {offset + chunk.size} are not what was signed, "
            f"and this bundle, a delta, needs them",
            hint="Find out who changed the file, or whether the disk is failing "
            "(`audit` names every such file). Mend it with `install --repair` of the "
            "bundle that brought it, then run this again; or ask for a full bundle.",
        )


def missing_chunks(bundle: Bundle, digests: Iterable[Digest]) -> Tuple[str, ...]:
    """Return what of these contents is left out and not in the store, in words."""
    names: Dict[Digest, str] = {}
    for digest, _, what in bundle.manifest.contents():
        names.setdefault(digest, what)
    lines = []
    for digest in digests:
        chunks = [bundle.index.chunks[n] for n in bundle.index.contents[digest].chunks]
        absent = [c for c in chunks if c.is_base and not _has(bundle, c)]
        if absent:
            size = human(sum(chunk.size for chunk in absent))
            lines.append(f"{size} of {names[digest]}")
    more = [f"and of {len(lines) - _SHOWN} more files"] if len(lines) > _SHOWN else []
    return (*lines[:_SHOWN], *more)


def _has(bundle: Bundle, chunk: Chunk) -> bool:
    return bundle.base is not None and bundle.base.holds(chunk)
