"""A volume that is a directory of this machine: read where it lies.

Links are never followed, and a file must be the one that was looked at. With `is_live`,
a file that is written to meanwhile is taken as far as it went.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sealift_manifests.errors import SourceContentError
from sealift_manifests.sizes import counted, human
from sealift_manifests.volume_entries import ROOT

from sealift_bundler.buffers import Buffers
from sealift_bundler.chunking import cut_plain
from sealift_bundler.leaks.rules import MOST_TEXT, Leak, leaks_in
from sealift_bundler.reading import read_pieces

from .beneath import is_gone, open_beneath, open_in
from .found import Faults, FoundItem, Pieces, Scan, Take, changed, in_order

_BLOCK = 512
"""The unit of st_blocks, on every file system."""


class DirectoryReader:
    """Reads the directory `root`, which is volume `name` of the spec."""

    def __init__(
        self, name: str, root: Path, buffers: Buffers, *, is_live: bool = False
    ) -> None:
        self._name = name
        self._root = root
        self._buffers = buffers
        self._is_live = is_live

    def scan(self) -> Scan:
        """Look at everything in the directory."""
        walk = _Walk(self._name, self._root, is_live=self._is_live)
        items = in_order(walk.items())
        walk.faults.tell()
        return Scan(items, frozenset(walk.leaks), tuple(walk.notes()))

    def read(self, scan: Scan, take: Take) -> None:
        """Give each file to `take`, once; raise SourceContentError if one changed."""
        for path, item in scan.files.items():
            take(path, self._pieces(item))
        if not self._is_live:
            self._expect_same(scan)

    def _pieces(self, item: FoundItem) -> Pieces:
        try:
            fd = open_beneath(self._root, item.path)
        except OSError as error:
            raise changed(self._name, item.path) from error
        try:
            self._expect(item, os.fstat(fd))
            yield from read_pieces(fd, cut_plain(item.size), self._buffers)
            self._expect(item, os.fstat(fd))
        except EOFError as error:
            raise changed(self._name, item.path) from error
        finally:
            os.close(fd)

    def _expect(self, item: FoundItem, now: os.stat_result) -> None:
        same = _is_node(item, now)
        if not self._is_live:
            same &= (now.st_size, int(now.st_mtime)) == (item.size, item.mtime)
        if not same:
            raise changed(self._name, item.path)

    def _expect_same(self, before: Scan) -> None:
        """Compare with what is there now: names come and go while files are read."""
        walk = _Walk(self._name, self._root, is_quick=True)
        now = {item.path: item for item in walk.items()}
        for item in before.items:
            if now.pop(item.path, None) != item:
                raise changed(self._name, item.path)
        for path in now:
            raise changed(self._name, path)


class _Walk:
    """One walk through the tree; when it is quick, no file is looked into.

    With `is_live`, names that go meanwhile are left out.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        *,
        is_quick: bool = False,
        is_live: bool = False,
    ) -> None:
        self.faults = Faults(name)
        self.leaks: set[Leak] = set()
        self._name = name
        self._root = root
        self._is_quick = is_quick
        self._is_live = is_live
        self._at = ROOT
        self._extended: list[str] = []
        self._sparse: list[int] = []

    def items(self) -> Iterator[FoundItem]:
        """Yield every name, in no order."""
        try:
            yield from self._walked()
        except OSError as error:
            raise SourceContentError(
                f"volume {self._name}: {self._root / self._at}: {error.strerror}",
                hint="Owners and modes of data are read as root. Build as root on the "
                "engine's machine, or give the volume by its name in the engine.",
            ) from error

    def notes(self) -> Iterator[str]:
        """Yield what a person should know about what was found."""
        if self._extended:
            some = ", ".join(sorted(self._extended)[:3])
            yield (
                f"extended attributes and ACLs are not carried: {some}"
                + (", ..." if len(self._extended) > 3 else "")
            )
        if self._sparse:
            yield (
                f"{counted(len(self._sparse), 'file')} with holes, which are filled on "
                f"the host: {human(sum(self._sparse))}"
            )

    def _walked(self) -> Iterator[FoundItem]:
        """Yield the root, and all that is below it."""
        left = [ROOT]
        while left:
            path = self._at = left.pop()
            try:
                folder = open_beneath(self._root, path, os.O_DIRECTORY)
            except OSError as error:
                self._let_go(path, error)
                continue
            try:
                if path == ROOT:
                    yield self._item(folder, ROOT, os.fstat(folder))
                for name in os.listdir(folder):
                    below = name if path == ROOT else f"{path}/{name}"
                    for item in self._there(folder, below):
                        yield item
                        left += [below] if stat.S_ISDIR(item.mode) else []
            finally:
                os.close(folder)

    def _let_go(self, path: str, error: OSError) -> None:
        """Raise the error, unless the name has gone meanwhile and that may be."""
        if path == ROOT or not is_gone(error):
            raise error
        if not self._is_live:
            raise changed(self._name, path) from error

    def _there(self, folder: int, path: str) -> Iterator[FoundItem]:
        """Yield a name; none that has gone meanwhile, if that may be."""
        self._at = path
        name = path.rpartition("/")[2]
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            yield self._item(folder, path, status)
        except OSError as error:
            self._let_go(path, error)

    def _item(self, folder: int, path: str, status: os.stat_result) -> FoundItem:
        name = path.rpartition("/")[2]
        is_link = stat.S_ISLNK(status.st_mode)
        item = FoundItem(
            path=path,
            mode=status.st_mode,
            uid=status.st_uid,
            gid=status.st_gid,
            mtime=int(status.st_mtime),
            size=status.st_size if stat.S_ISREG(status.st_mode) else 0,
            node=(status.st_dev, status.st_ino),
            target=os.readlink(name, dir_fd=folder) if is_link else None,
        )
        if not self._is_quick:
            self.faults.check(item)
            self._look(item, folder, status)
        return item

    def _look(self, item: FoundItem, folder: int, status: os.stat_result) -> None:
        name = item.path.rpartition("/")[2]
        with suppress(OSError):
            place = f"/proc/self/fd/{folder}/{name}"
            held = os.listxattr(place, follow_symlinks=False)
            if [each for each in held if each != "security.selinux"]:
                self._extended.append(item.path)
        if not item.is_file:
            return
        if status.st_blocks * _BLOCK < item.size // 2:
            self._sparse.append(item.size)
        if 0 < item.size <= MOST_TEXT:
            with open(open_in(folder, name), "rb") as file:
                if not _is_node(item, os.fstat(file.fileno())):
                    raise changed(self._name, item.path)
                self.leaks |= set(leaks_in(item.path, file.read(MOST_TEXT)))


def _is_node(item: FoundItem, now: os.stat_result) -> bool:
    """Whether a file is the one that was looked at; its number may be a pipe's now."""
    return stat.S_ISREG(now.st_mode) and (now.st_dev, now.st_ino) == item.node
