"""How a model's files are laid out for the container that mounts them.

`flat`: the files under their own paths. `hf-cache`: a Hub cache that
huggingface_hub opens with HF_HUB_OFFLINE=1 when HF_HUB_CACHE is the mount point.
Pure: says what the tree looks like, creates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.model_entries import (
    DEFAULT_BRANCH,
    ModelEntry,
    ModelFile,
    ModelSource,
)


@dataclass(frozen=True)
class TreeEntry:
    """One name in a tree: a stored file, a relative link, or a small text.

    Exactly one of `content`, `link` and `text` is given.
    """

    path: str
    content: Optional[Digest] = None
    size: int = 0
    link: Optional[str] = None
    text: Optional[bytes] = None


def tree_of(model: ModelEntry) -> Tuple[TreeEntry, ...]:
    """Return every file and link of the model's tree, sorted by path."""
    return layout_tree(model.layout, model.source, model.files)


def layout_tree(
    layout: str, source: ModelSource, files: Tuple[ModelFile, ...]
) -> Tuple[TreeEntry, ...]:
    """Return the tree of these files in this layout, sorted by path."""
    entries = _flat(files) if layout == "flat" else _hub_cache(source, files)
    return tuple(sorted(entries, key=lambda entry: entry.path))


def format_listing(
    layout: str, source: ModelSource, files: Tuple[ModelFile, ...]
) -> bytes:
    """Return the checksum list of the tree, as `sha256sum -c` reads it.

    In a Hub cache the names under `snapshots/` are listed; the blobs are what
    those names lead to.
    """
    by_path = {file.path: file.digest for file in files}
    prefix = "" if layout == "flat" else _snapshot(source)
    lines: List[Tuple[str, Digest]] = [
        (prefix + path, digest) for path, digest in by_path.items()
    ]
    for entry in layout_tree(layout, source, files):
        if entry.text is not None:
            lines.append((entry.path, digest_of(entry.text)))
    return "".join(f"{d.hex}  {path}\n" for path, d in sorted(lines)).encode("utf-8")


def _flat(files: Tuple[ModelFile, ...]) -> Iterator[TreeEntry]:
    for file in files:
        yield TreeEntry(file.path, content=file.digest, size=file.size)


def _folder(source: ModelSource) -> str:
    return "models--" + (source.repo or "").replace("/", "--")


def _snapshot(source: ModelSource) -> str:
    return f"{_folder(source)}/snapshots/{source.commit}/"


def _hub_cache(
    source: ModelSource, files: Tuple[ModelFile, ...]
) -> Iterator[TreeEntry]:
    folder, commit = _folder(source), source.commit or ""
    blobs = {}
    for file in files:
        blob = file.blob or ""
        blobs[blob] = TreeEntry(
            f"{folder}/blobs/{blob}", content=file.digest, size=file.size
        )
        up = "../" * (2 + file.path.count("/"))
        yield TreeEntry(_snapshot(source) + file.path, link=f"{up}blobs/{blob}")
    yield from blobs.values()
    for name in sorted({source.revision or commit, DEFAULT_BRANCH} - {commit}):
        yield TreeEntry(f"{folder}/refs/{name}", text=commit.encode("ascii"))
