"""Put Ollama's models of a release into a store that an Ollama outside has already.

Blobs come first, each copied and hashed under a hidden name; a manifest, which makes
Ollama see the model, last. What the store has is kept when it is the same.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import DriftError, StagingError
from sealift_manifests.model import Manifest
from sealift_manifests.model_entries import ModelFile
from sealift_manifests.verify import Progress

from sealift_installer import durable
from sealift_installer.layout import Layout

_BLOBS = "blobs/sha256-"
_MANIFESTS = "manifests/"
_BLOCK = 4 << 20


@dataclass(frozen=True)
class MergeFile:
    """A file to bring into the store, from where it lies to where it shall."""

    source: str
    target: str
    file: ModelFile

    @property
    def is_manifest(self) -> bool:
        """Whether Ollama knows a model by this file."""
        return self.file.path.startswith(_MANIFESTS)


def ollama_files(layout: Layout, manifest: Manifest, store: str) -> List[MergeFile]:
    """Return the files of all Ollama models of a bundle, manifests last."""
    found = [
        MergeFile(
            os.path.join(layout.tree(model), *file.path.split("/")),
            os.path.join(store, *file.path.split("/")),
            file,
        )
        for model in manifest.models
        if _is_store(file.path for file in model.files)
        for file in model.files
    ]
    return sorted(found, key=lambda each: (each.is_manifest, each.target))


def _is_store(paths: Iterator[str]) -> bool:
    return all(path.startswith((_BLOBS, _MANIFESTS)) for path in paths)


def plan_merge(
    files: List[MergeFile], *, replace: bool, progress: Progress
) -> Tuple[MergeFile, ...]:
    """Return what the store lacks. What it has is hashed.

    Raises StagingError when it has another model under a name, unless `replace`.
    """
    wanted, taken = [], []
    for each in files:
        have = _measured(each.target, progress)
        if have == each.file.digest:
            continue
        wanted.append(each)
        if each.is_manifest and have is not None:
            taken.append(each.file.path[len(_MANIFESTS) :])
    if taken and not replace:
        raise StagingError(
            f"the store has other models under these names: {', '.join(taken)}",
            hint="To put the bundle's in their place, run this again with --replace; "
            "blobs of the old ones stay until `ollama rm` or Ollama's own pruning.",
        )
    return tuple(wanted)


def carry_out(store: str, files: Tuple[MergeFile, ...], progress: Progress) -> None:
    """Copy the files into the store; they belong to its owner then.

    Raises DriftError when a file is no longer the one that was signed.
    """
    try:
        owner = _owner(store)
        for each in files:
            _make_folders(store, os.path.dirname(each.target), owner)
            _copy(each, owner, progress)
    except OSError as error:
        raise StagingError(
            f"{store} cannot be written: {error.strerror}",
            hint="Run this as root or as the store's owner, and check its free space; "
            "then run it again: what is there already is kept.",
        ) from error


def _owner(store: str) -> Tuple[int, int]:
    status = os.stat(store)
    return status.st_uid, status.st_gid


def _make_folders(store: str, folder: str, owner: Tuple[int, int]) -> None:
    missing = []
    while folder != store and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for each in reversed(missing):
        os.mkdir(each, 0o755)
        os.chown(each, *owner)


def _copy(each: MergeFile, owner: Tuple[int, int], progress: Progress) -> None:
    folder, name = os.path.split(each.target)
    beside = os.path.join(folder, f".{name}.sealift")
    durable.remove_file(beside)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(beside, flags, 0o644)
    try:
        digest = _copied(each.source, fd, progress)
        if digest != each.file.digest:
            raise DriftError(
                f"{each.source} is not what was signed ({digest.short})",
                hint="Do not use it. Run `audit`; then install the bundle again with "
                "--repair.",
            )
        os.fchown(fd, *owner)
        os.fsync(fd)
        os.replace(beside, each.target)
    except BaseException:
        durable.remove_file(beside)
        raise
    finally:
        os.close(fd)
    durable.sync_directory(folder)


def _copied(source: str, target: int, progress: Progress) -> Digest:
    state = hashlib.sha256()
    with open(source, "rb", buffering=0) as file:
        while True:
            data = file.read(_BLOCK)
            if not data:
                return from_hex(state.hexdigest())
            state.update(data)
            durable.write_all(target, data)
            progress(len(data))


def _measured(path: str, progress: Progress) -> Optional[Digest]:
    """Return the digest of a file of the store, or None if there is none."""
    if not os.path.isfile(path):
        return None
    state = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(_BLOCK)
            while data:
                state.update(data)
                progress(len(data))
                data = file.read(_BLOCK)
    except OSError as error:
        raise StagingError(
            f"{path} cannot be read: {error.strerror}",
            hint="Run this as root or as the store's owner.",
        ) from error
    return from_hex(state.hexdigest())
