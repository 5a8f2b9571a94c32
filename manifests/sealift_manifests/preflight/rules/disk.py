"""Rules about room: below Sealift's state directory, and below the engine's data."""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.facts import FileSystem
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import ImageNeeds

_ENGINE, _STATE = "engine", "state"


class _Want(NamedTuple):
    """Bytes wanted at least and at most, and inodes."""

    least: int
    most: int
    inodes: int


def there_is_room(case: Case) -> Iterator[Finding]:
    """Expect room for everything on each file system, for a host with none of it."""
    if case.needs is None:
        return
    wants: Dict[str, Optional[_Want]] = {
        _ENGINE: _engine_want(case),
        _STATE: _state_want(case),
    }
    machine = case.facts.machine
    systems = (machine.file_systems if machine else None) or ()
    known = {fs.purpose: fs for fs in systems if fs.purpose in wants}
    for purpose, want in wants.items():
        fs = known.get(purpose)
        if want is None or fs is None or fs.free is None:
            path = fs.path if fs else f"the {purpose} directory"
            measured = "not known"
            yield found("disk-unknown", path, measured, _text(want), path=path)
            known.pop(purpose, None)
    for together in _by_device(list(known.values())):
        wanted = [wants[fs.purpose] for fs in together]
        yield from _judge(together, [want for want in wanted if want is not None])


def engine_room(
    case: Case, images: Tuple[ImageNeeds, ...]
) -> Optional[Tuple[int, int]]:
    """Return the bytes that loading images takes, at least and at most.

    A graph driver keeps one archive at a time beside the unpacked layers, the
    containerd store keeps them all. The two differ where the store is not known.
    """
    sizes = [(image.archive_size, image.unpacked_size) for image in images]
    archives = [archive for archive, _ in sizes if archive is not None]
    unpacked = [layers for _, layers in sizes if layers is not None]
    if len(archives) < len(sizes) or len(unpacked) < len(sizes):
        return None
    least = sum(unpacked) + max(archives, default=0)
    most = sum(unpacked) + sum(archives)
    store = case.facts.engine.image_store if case.facts.engine else None
    exact = {"graphdriver": (least, least), "containerd": (most, most)}
    return exact.get(store or "", (least, most))


def _engine_want(case: Case) -> Optional[_Want]:
    images = case.needs.images if case.needs else ()
    room = engine_room(case, images)
    if case.needs is None or room is None:
        return None
    disk = case.needs.disk
    inodes = sum(image.unpacked_inodes or 0 for image in images)
    least, most = (size + disk.data_size for size in room)
    return _Want(least, most, inodes + disk.data_inodes)


def _state_want(case: Case) -> Optional[_Want]:
    disk = case.needs.disk if case.needs else None
    if disk is None or disk.state_size is None:
        return None
    return _Want(disk.state_size, disk.state_size, disk.state_inodes or 0)


def _by_device(systems: List[FileSystem]) -> List[List[FileSystem]]:
    together: Dict[Tuple[Optional[int], str], List[FileSystem]] = {}
    for fs in systems:
        # Without a device number two paths cannot be told to share one.
        key = (fs.device, "" if fs.device is not None else fs.path)
        together.setdefault(key, []).append(fs)
    return list(together.values())


def _judge(systems: List[FileSystem], wants: List[_Want]) -> Iterator[Finding]:
    path = ", ".join(fs.path for fs in systems)
    free, least = systems[0].free or 0, sum(want.least for want in wants)
    most, inodes = sum(w.most for w in wants), sum(w.inodes for w in wants)
    measured = f"{gib(free)} free"
    if least > free:
        short = gib(least - free)
        yield found("disk-full", path, measured, gib(least), short=short)
    elif most > free:
        measured += ", and the engine's image store is not known"
        yield found("disk-unknown", path, measured, gib(most), path=path)
    names = systems[0].free_inodes
    if names is not None and inodes > names:
        yield found("disk-inodes", path, f"{names} inodes free", f"{inodes} inodes")


def _text(want: Optional[_Want]) -> str:
    return gib(want.most) if want else "the room the bundle takes"


def gib(size: int) -> str:
    """Return a size as people read it."""
    return f"{size / 2**30:.2f} GiB"
