"""The tar that fills a volume of data, and whether a volume holds what one has.

Pure: what is read and written is handed in. Every file is measured as it passes.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass, replace
from typing import IO, Callable, Dict, Iterator, List, Optional

from sealift_manifests import ustar
from sealift_manifests.digests import Buffer, Digest, from_hex
from sealift_manifests.errors import EngineError
from sealift_manifests.volume_entries import (
    DIRECTORY,
    FILE,
    HARDLINK,
    LINK,
    MAX_MODE,
    ROOT,
    VolumeEntry,
    VolumeItem,
)

from sealift_installer.passing import by_rank, measured

FOLDER = "data"
"""The folder of the archive that is the root of the volume."""

_TYPES = {
    DIRECTORY: tarfile.DIRTYPE,
    FILE: tarfile.REGTYPE,
    LINK: tarfile.SYMTYPE,
    HARDLINK: tarfile.LNKTYPE,
}
_READ = 1 << 20
_SHOWN = 5


def data_archive(
    volume: VolumeEntry,
    read: Callable[[Digest], Iterator[Buffer]],
    rank: Callable[[Digest], int],
) -> Iterator[Buffer]:
    """Yield a tar of the volume; `read` yields the content of a file.

    Next is always a file of the lowest `rank`, which is asked each time. Raises
    DigestMismatchError, before the archive is whole, for one that is not as signed.
    """
    yield from (header(item) for item in volume.items if item.kind == DIRECTORY)
    for item in by_rank(volume.files, lambda each: rank(_digest(each))):
        yield header(item)
        what = f"{item.path} of volume {volume.name}"
        yield from measured(what, _digest(item), item.size, read(_digest(item)))
        yield ustar.padding(item.size)
    files = {item.path: item for item in volume.files}
    for item in volume.items:
        if item.kind == LINK:
            yield header(item)
        elif item.kind == HARDLINK:
            # What it says of owner and mode is given to the file: so it says the same.
            named = files[item.target or ""]
            yield header(replace(named, path=item.path), names=named.path)
    yield ustar.END


def header(item: VolumeItem, names: str = "") -> bytes:
    """Return what stands before a name's content in the tar.

    With `names` it is another name of the file with that path.
    """
    info = tarfile.TarInfo(_inside(item.path))
    info.type = _TYPES[item.kind]
    info.mode, info.uid, info.gid = item.mode, item.uid, item.gid
    info.mtime, info.size = item.mtime, item.size
    if item.kind == LINK:
        info.mode, info.linkname = 0o777, item.target or ""
    if names:
        info.type, info.size, info.linkname = tarfile.LNKTYPE, 0, _inside(names)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


@dataclass(frozen=True)
class Seen:
    """What a tar has of a name; `first` is the path of the file it is a name of.

    `facts` are mode, owner and time as people read them.
    """

    kind: str
    facts: str = ""
    digest: Optional[Digest] = None
    target: Optional[str] = None
    first: str = ""


Listing = Dict[str, Seen]


def listing_of(stream: IO[bytes], progress: Callable[[int], None]) -> Listing:
    """Read a tar of a volume to its end; `progress` is told bytes of files."""
    found: Listing = {}
    kinds = {value: kind for kind, value in _TYPES.items()}
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=_READ) as archive:
            for info in iter(archive.next, None):
                # Else tarfile keeps all that it has read in memory.
                archive.members.clear()  # type: ignore[attr-defined]
                path = _below(info.name)
                kind = kinds.get(info.type, "other")
                facts = _facts(info.mode & MAX_MODE, info.uid, info.gid, info.mtime)
                if kind == HARDLINK:
                    found[path] = found.get(_below(info.linkname), Seen("other"))
                elif kind == LINK:
                    owner = _owner(info.uid, info.gid)
                    found[path] = Seen(kind, owner, target=info.linkname)
                elif kind == FILE:
                    digest = _measure(archive, info, progress)
                    found[path] = Seen(kind, facts, digest, first=path)
                else:
                    found[path] = Seen(kind, facts)
    except tarfile.TarError as error:
        raise EngineError(
            f"what the engine gives of a volume is no tar: {error}",
            hint="See its log (`journalctl -u docker`), then run this again.",
        ) from error
    return found


def expected(volume: VolumeEntry) -> Listing:
    """Return the listing of a volume that holds what was signed, and nothing else."""
    found: Listing = {}
    for item in volume.items:
        facts = _facts(item.mode, item.uid, item.gid, item.mtime)
        if item.kind == LINK:
            owner = _owner(item.uid, item.gid)
            found[item.path] = Seen(LINK, owner, target=item.target)
        elif item.kind == FILE:
            found[item.path] = Seen(FILE, facts, item.digest, first=item.path)
        elif item.kind == DIRECTORY:
            found[item.path] = Seen(DIRECTORY, facts)
    links = (item for item in volume.items if item.kind == HARDLINK)
    found.update({item.path: found[item.target or ""] for item in links})
    return found


def differences(wanted: Listing, found: Listing) -> List[str]:
    """Return what differs, a few words for each name, at most some of them."""
    one, other = _canonical(wanted), _canonical(found)
    faults = [f"{path} is missing" for path in sorted(one.keys() - other.keys())]
    faults += [f"{path} is too much" for path in sorted(other.keys() - one.keys())]
    faults += [
        f"{path} is not as it should be ({other[path]}, not {one[path]})"
        for path in sorted(one.keys() & other.keys())
        if one[path] != other[path]
    ]
    more = len(faults) - _SHOWN
    return faults[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])


def _canonical(listing: Listing) -> Dict[str, str]:
    """Return words for each name; those of one file share its first path."""
    firsts: Dict[str, str] = {}
    for path in sorted(listing):
        firsts.setdefault(listing[path].first, path)
    return {path: _words(seen, firsts) for path, seen in listing.items()}


def _words(seen: Seen, firsts: Dict[str, str]) -> str:
    words = [seen.kind, seen.facts]
    if seen.digest:
        words += [seen.digest.short, f"as {firsts[seen.first]}"]
    if seen.target:
        words += [f"to {seen.target}"]
    return " ".join(words)


def _facts(mode: int, uid: int, gid: int, mtime: float) -> str:
    return f"{mode:04o} {_owner(uid, gid)} {int(mtime)}"


def _owner(uid: int, gid: int) -> str:
    return f"{uid}:{gid}"


def _measure(
    archive: tarfile.TarFile, info: tarfile.TarInfo, progress: Callable[[int], None]
) -> Digest:
    measure, file = hashlib.sha256(), archive.extractfile(info)
    while file is not None:
        piece = file.read(_READ)
        if not piece:
            break
        measure.update(piece)
        progress(len(piece))
    return from_hex(measure.hexdigest())


def _digest(item: VolumeItem) -> Digest:
    assert item.digest is not None, "only files are asked"
    return item.digest


def _inside(path: str) -> str:
    return FOLDER if path == ROOT else f"{FOLDER}/{path}"


def _below(name: str) -> str:
    return name.strip("/").partition("/")[2] or ROOT
