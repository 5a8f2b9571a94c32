"""Look at the volumes of a spec, and bring them into the packs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from sealift_manifests.bundle import MAX_SMALL_FILE
from sealift_manifests.errors import InUseError, SourceContentError
from sealift_manifests.sizes import counted, human
from sealift_manifests.volume_entries import VolumeEntry, VolumeSource

from sealift_bundler.buffers import Buffers
from sealift_bundler.engine.client import open_engine
from sealift_bundler.leaks.check import check_volume
from sealift_bundler.lock import LocalPin, volume_source
from sealift_bundler.pack import Packed, Packer
from sealift_bundler.progress import Meter
from sealift_bundler.spec import Spec
from sealift_bundler.spec_volumes import VolumeSpec
from sealift_bundler.volumes.archive import ArchiveReader
from sealift_bundler.volumes.directory import DirectoryReader
from sealift_bundler.volumes.engine import export_volume, inspect_volume
from sealift_bundler.volumes.found import Pieces, Reader, Scan, entry_items
from sealift_bundler.workplace import Workplace


@dataclass(frozen=True)
class GatheredVolume:
    """A volume of which every name is known, and how its files are read.

    `directory` is where it lies; None where only the engine gives it.
    """

    name: str
    wanted: VolumeSpec
    directory: Path | None
    scan: Scan

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return self.scan.size


def resolve_volumes(spec: Spec, place: Workplace) -> dict[str, GatheredVolume]:
    """Look at every volume of the spec, before anything is fetched.

    Raises RevisionError for one that is not there, InUseError for one that a running
    container writes to, SourceContentError for what cannot be carried.
    """
    return {
        name: _look(name, wanted, place)
        for name, wanted in sorted(spec.volumes.items())
    }


def pack_volume(
    packer: Packer, volume: GatheredVolume, progress: Meter
) -> tuple[VolumeEntry, bytes]:
    """Pack the files of a volume; return its entry and its checksum list.

    Raises SourceContentError when it is not what it was when it was looked at.
    """
    taken: dict[str, Packed] = {}

    def take(path: str, pieces: Pieces) -> None:
        name = f"volume {volume.name}: {path}"
        with progress.item(name):
            taken[path] = packer.add(_counted(pieces, progress), name=name)

    reader = _reader(volume.name, volume.wanted, volume.directory, packer.buffers)
    reader.read(volume.scan, take)
    packer.drain()
    packed = {path: each.digest for path, each in taken.items()}
    items = tuple(entry_items(volume.scan, packed))
    entry = VolumeEntry(volume.name, _source(volume.wanted), items)
    return entry, entry.listing


def volume_pins(
    entries: Sequence[VolumeEntry], spec: Spec, place: Workplace
) -> Iterator[LocalPin]:
    """Yield what the lock is to say of these volumes."""
    for entry in entries:
        written = volume_source(spec.volumes[entry.name], place.directory)
        yield LocalPin("volumes", entry.name, written, entry.digest)


def _look(name: str, wanted: VolumeSpec, place: Workplace) -> GatheredVolume:
    directory = _still_place(name, wanted) if wanted.volume else wanted.path
    scan = _reader(name, wanted, directory, Buffers()).scan()
    for note in scan.notes:
        place.report.step(f"volume {name}: {note}")
    _require_listable(name, scan)
    check_volume(name, scan.leaks, wanted.not_secret)
    files = counted(len(scan.files), "file")
    place.report.step(f"volume {name}: {files}, {human(scan.size)}")
    return GatheredVolume(name, wanted, directory, scan)


def _require_listable(name: str, scan: Scan) -> None:
    """Tell now what a reader would say at the end: its list would be too long."""
    names = [item.path for item in scan.items if item.is_file]
    # A line is a digest, two spaces, the path and its end.
    size = sum(67 + len(path.encode()) for path in names)
    if size > MAX_SMALL_FILE:
        raise SourceContentError(
            f"volume {name} has {len(names)} files: their list would have "
            f"{human(size)}, and {human(MAX_SMALL_FILE)} is the most",
            hint="Pack small files together (tar), or let several volumes have them.",
        )


def _still_place(name: str, wanted: VolumeSpec) -> Path | None:
    """Return the directory of an engine's volume, if it lies here.

    Raises InUseError while a running container writes to it, unless that may be.
    """
    with open_engine() as client:
        found = inspect_volume(client, str(wanted.volume))
    writers = found.writers
    if writers and "running" not in wanted.allow:
        raise InUseError(
            f"volume {name}: {', '.join(writers)} runs and writes to {wanted.volume}",
            hint=f"A copy of a live database is not a backup. Stop it first (`docker "
            f"stop {' '.join(writers)}`), or export its data by its own means into a "
            "directory and give that as `path`. If a copy in motion will do, say "
            "`allow: [running]`.",
        )
    return found.place


def _reader(
    name: str, wanted: VolumeSpec, directory: Path | None, buffers: Buffers
) -> Reader:
    """Return what reads a volume: where it lies, or else through the engine."""
    is_live = "running" in wanted.allow
    if directory:
        return DirectoryReader(name, directory, buffers, is_live=is_live)
    opened = partial(_export, str(wanted.volume))
    return ArchiveReader(name, opened, buffers, is_live=is_live)


@contextmanager
def _export(volume: str) -> Iterator[IO[bytes]]:
    with open_engine() as client, export_volume(client, volume) as stream:
        yield stream


def _counted(pieces: Pieces, progress: Meter) -> Pieces:
    for data, width in pieces:
        yield data, width
        progress(len(data))


def _source(wanted: VolumeSpec) -> VolumeSource:
    return VolumeSource("volume" if wanted.volume else "path", wanted.volume)
