"""Where a patch is written: a directory that gets its name when it is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sealift_manifests.digests import Buffer, Digest, from_hex
from sealift_manifests.errors import OutputError
from sealift_manifests.repair import PatchChunk, PatchPack

from sealift_bundler.durable import sync_directory


class PatchPacks:
    """Writes stored chunks back to back, into packs of at most `part_size` bytes.

    `packs`, `chunks` and `digests` (of packs, by name) are complete after `close`.
    """

    def __init__(self, folder: Path, part_size: int) -> None:
        self._folder = folder
        self._part_size = part_size
        self._file: BinaryIO | None = None
        self._state = hashlib.sha256()
        self._offset = 0
        self.packs: list[PatchPack] = []
        self.chunks: list[PatchChunk] = []
        self.digests: dict[str, Digest] = {}

    def add(self, number: int, data: Buffer) -> None:
        """Append the stored bytes of a chunk."""
        if self._file and self._offset + len(data) > self._part_size:
            self.close()
        if self._file is None:
            self._file = (self._folder / self._name).open("xb")
            self._state = hashlib.sha256()
            self._offset = 0
        self._file.write(data)
        self._state.update(data)
        place = PatchChunk(number, len(self.packs), self._offset, len(data))
        self.chunks.append(place)
        self._offset += len(data)

    def close(self) -> None:
        """Finish the pack that is being written, and sync it."""
        if self._file is None:
            return
        _sync(self._file)
        self._file.close()
        self._file = None
        self.digests[self._name] = from_hex(self._state.hexdigest())
        self.packs.append(PatchPack(self._name, self._offset))

    @property
    def _name(self) -> str:
        return f"patch-{len(self.packs) + 1:04}.pack"


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, and sync it."""
    with path.open("xb") as file:
        file.write(data)
        _sync(file)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give a hidden directory to fill; it becomes `path` at the end, or is removed.

    Raises OutputError when `path` is taken or its place cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.partial")
    if path.exists():
        raise OutputError(
            f"{path} exists already",
            hint="It answers the same request. Move it away, or choose another -o.",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            yield unfinished
            sync_directory(unfinished)
            unfinished.rename(path)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}",
            hint="Make room there, or choose another place with -o.",
        ) from error


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
