"""A volume as an engine gives it: a tar that streams by, once to look, once to take.

Nothing is kept of it but names. What the second stream has must be what the first had.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import IO

from sealift_manifests.errors import SourceContentError
from sealift_manifests.index import MAX_CHUNK
from sealift_manifests.volume_entries import ROOT

from sealift_bundler.buffers import Buffers
from sealift_bundler.leaks.rules import MOST_TEXT, Leak, leaks_in

from .found import Faults, FoundItem, Pieces, Scan, Take, changed, in_order

OpenArchive = Callable[[], AbstractContextManager[IO[bytes]]]
_KINDS = {
    tarfile.REGTYPE: 0o100000,
    tarfile.AREGTYPE: 0o100000,
    tarfile.LNKTYPE: 0o100000,
    tarfile.DIRTYPE: 0o040000,
    tarfile.SYMTYPE: 0o120000,
    tarfile.FIFOTYPE: 0o010000,
    tarfile.CHRTYPE: 0o020000,
    tarfile.BLKTYPE: 0o060000,
}
_ATTRIBUTE = "SCHILY.xattr."


class ArchiveReader:
    """Reads volume `name` of the spec from what `opened` gives, each time anew.

    With `is_live`, a file may be another the second time than the first.
    """

    def __init__(
        self, name: str, opened: OpenArchive, buffers: Buffers, *, is_live: bool = False
    ) -> None:
        self._name = name
        self._opened = opened
        self._buffers = buffers
        self._is_live = is_live

    def scan(self) -> Scan:
        """Look at everything in the volume."""
        faults, leaks, extended = Faults(self._name), set[Leak](), list[str]()
        found: dict[str, FoundItem] = {}
        for item, info, stream in self._members():
            found[item.path] = _joined(item, info, found)
            faults.check(item)
            if any(key.startswith(_ATTRIBUTE) for key in info.pax_headers):
                extended.append(item.path)
            if info.isreg() and 0 < item.size <= MOST_TEXT and stream:
                leaks |= set(leaks_in(item.path, stream.read(MOST_TEXT)))
        faults.tell()
        notes = ["extended attributes are not carried"] if extended else []
        return Scan(in_order(found.values()), frozenset(leaks), tuple(notes))

    def read(self, scan: Scan, take: Take) -> None:
        """Give each file to `take`, once; raise SourceContentError if one changed."""
        left = {item.path: item for item in scan.items}
        firsts = scan.firsts
        found: dict[str, FoundItem] = {}
        for read_item, info, stream in self._members():
            item = _joined(read_item, info, found)
            found[item.path] = item
            before = left.pop(item.path, None)
            same = before == item or (self._is_live and _is_alike(before, item))
            if not same or before is None:
                raise changed(self._name, item.path)
            if info.isreg() and stream:
                take(firsts[item.node], self._pieces(item, stream))
        for path in left:
            raise changed(self._name, path)

    def _members(
        self,
    ) -> Iterator[tuple[FoundItem, tarfile.TarInfo, IO[bytes] | None]]:
        with self._opened() as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    while (info := archive.next()) is not None:
                        # Else tarfile keeps all that it has read in memory.
                        archive.members.clear()  # type: ignore[attr-defined]
                        held = archive.extractfile(info) if info.isreg() else None
                        yield _item(info), info, held
            except tarfile.TarError as error:
                raise SourceContentError(
                    f"volume {self._name}: the engine's tar cannot be read: {error}",
                    hint="The engine broke off, maybe. See its log, and build again.",
                ) from error

    def _pieces(self, item: FoundItem, stream: IO[bytes]) -> Pieces:
        left = item.size
        while left:
            view = self._buffers.take(min(left, MAX_CHUNK))
            done = 0
            while done < len(view):
                data = stream.read(len(view) - done)
                if not data:
                    raise changed(self._name, item.path)
                view[done : done + len(data)] = data
                done += len(data)
            left -= len(view)
            yield view, 1


def _item(info: tarfile.TarInfo) -> FoundItem:
    path = _below(info.name)
    return FoundItem(
        path=path,
        mode=_KINDS.get(info.type, 0o140000) | info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        mtime=int(info.mtime),
        size=info.size if info.isreg() else 0,
        node=path,
        target=info.linkname if info.issym() else None,
    )


def _joined(
    item: FoundItem, info: tarfile.TarInfo, found: dict[str, FoundItem]
) -> FoundItem:
    """Return a hard link as another name of the file that came before it."""
    if not info.islnk():
        return item
    first = found.get(_below(info.linkname))
    return replace(item, size=first.size, node=first.node) if first else item


def _is_alike(before: FoundItem | None, item: FoundItem) -> bool:
    return before is not None and before.size == item.size


def _below(name: str) -> str:
    """Return a path below the root of the volume; the engine's begins with a folder."""
    return name.strip("/").partition("/")[2] or ROOT
