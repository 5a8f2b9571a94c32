"""Where a bundle lies: a directory, a tar, or packs spread over several media.

The one module of this package that opens files, and only to read them. What is
read here is not trusted: `bundle` verifies it.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import stat
from typing import Dict, Iterable, Iterator, List, NoReturn, Set, Tuple

from sealift_manifests import ustar
from sealift_manifests.errors import PayloadError
from sealift_manifests.litter import litter_kind
from sealift_manifests.paths import is_outer_name
from sealift_manifests.sums import MAX_SUMS, SUMS_NAME

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""O_NONBLOCK: a FIFO in place of a file must not hang the installer."""

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,154}\Z")
_MAX_MEMBERS = MAX_SUMS // 68
"""More files than SHA256SUMS has room for lines."""

PATCH_NAME = "patch.json"
_PATCH_LINE = f"  {PATCH_NAME}\n".encode("ascii")
"""How the SHA256SUMS of a patch lists what makes it one."""

_FAILING = (
    *(errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE),
    *(errno.EBADMSG, errno.EUCLEAN),
)
"""The medium fails at this file: others on it may be good."""


class MediaFile:
    """A file of a bundle, open for reading: all of a file, or a tar's member.

    `label` is where it lies, for people; `place` the medium it was found on, as named
    by the user. `size` is in bytes; it is not known where the medium is failing.
    """

    is_failing = False

    def __init__(self, fd: int, label: str, start: int, size: int, place: str) -> None:
        self._fd = fd
        self._start = start
        self.label = label
        self.size = size
        self.place = place

    def read_all(self, limit: int) -> bytes:
        """Return a whole small file; refuse more than `limit` bytes."""
        if self.size > limit:
            raise PayloadError(
                f"{self.label} has {self.size} bytes; at most {limit} are accepted",
                hint="This is not a file of a Sealift bundle. Do not use it.",
            )
        return self.read_at(0, self.size)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly `size` bytes; raise PayloadError if they cannot be read."""
        data = bytearray(size)
        self.read_into(memoryview(data), offset)
        return bytes(data)

    def expect(self, offset: int, size: int) -> None:
        """Have the medium read these bytes, soon wanted, while others are worked on."""
        try:
            os.posix_fadvise(
                self._fd, self._start + offset, size, os.POSIX_FADV_WILLNEED
            )
        except OSError:
            pass  # Reading will tell.

    def read_into(self, target: memoryview, offset: int) -> None:
        """Fill `target` from `offset`; raise PayloadError if that cannot be read."""
        size = len(target)
        done = 0
        # Asks for all of it at once: the kernel alone reads ahead much less.
        self.expect(offset, size)
        try:
            while done < size:
                got = os.preadv(self._fd, [target[done:]], self._start + offset + done)
                if not got:
                    raise PayloadError(
                        f"{self.label} ends at byte {offset + done}, "
                        f"before byte {offset + size}",
                        hint="It was cut short. Copy it to the medium again.",
                    )
                done += got
        except OSError as error:
            raise PayloadError(
                f"{self.label} cannot be read at bytes {offset} to {offset + size}: "
                f"{error.strerror}",
                hint="The medium may be failing or was pulled out. Copy the file to "
                "another medium.",
            ) from error

    def drop_cache(self) -> None:
        """Ask the kernel to forget what it cached, so that reads reach the medium."""
        try:
            os.fsync(self._fd)  # What is still to be written cannot be forgotten.
        except OSError:
            pass  # Reading will tell.
        # Of the whole file: a tar's members share pages with their neighbours.
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)


class _FailingFile(MediaFile):
    """A file that is there, and that the medium does not give."""

    is_failing = True

    def __init__(self, label: str, place: str, reason: str) -> None:
        self.label, self.size, self.place = label, 0, place
        self._reason = reason

    def read_all(self, limit: int) -> NoReturn:
        self.read_into(memoryview(b""), 0)

    def read_into(self, target: memoryview, offset: int) -> NoReturn:
        raise PayloadError(
            f"{self.label} cannot be opened: {self._reason}",
            hint="The medium may be failing or was pulled out. Copy the file to "
            "another medium.",
        )

    def expect(self, offset: int, size: int) -> None:
        """Do nothing: nothing of it can be read."""

    def drop_cache(self) -> None:
        """Do nothing: nothing of it was read."""


class Media:
    """The files of one bundle, found on any of several media.

    Takes bundle directories, tar files, or directories that hold one of these. Symbolic
    links on a medium are not followed. A file may be there more than once: its copies
    are in the order of `places`. Use it in a `with`.

    Of the paths, those that hold patches are in `patches`, the others in `places`.
    `faults` says which tars could be read in part only, for people.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        _allow_many_files()
        self._fds: List[int] = []
        self._found: Dict[str, List[MediaFile]] = {}
        self.patches: List[Media] = []
        self.places: Tuple[str, ...] = ()
        self.faults: Dict[str, str] = {}
        self._litter: Set[str] = set()
        try:
            for path in paths:
                self._add(path)
            self._check_places()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Media:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file."""
        while self._fds:
            os.close(self._fds.pop())

    def names(self) -> Tuple[str, ...]:
        """Return the names of all files found, sorted."""
        return tuple(sorted(self._found))

    def give_up(self, place: str) -> None:
        """Offer nothing of this medium any more: it was pulled out, or is failing."""
        for files in self._found.values():
            files[:] = [file for file in files if file.place != place]

    def litter(self) -> Tuple[str, ...]:
        """Return what desktop systems left beside the bundle, each kind once."""
        return tuple(sorted(self._litter))

    def copies(self, name: str) -> Tuple[MediaFile, ...]:
        """Return the files of this name; none if it is on no medium."""
        return tuple(self._found.get(name, ()))

    def expect(self, name: str, offset: int, size: int) -> None:
        """Have the medium of the first file of this name read these bytes ahead."""
        for file in self.copies(name)[:1]:
            file.expect(offset, size)

    def open(self, name: str) -> MediaFile:
        """Return the first file of this name; raise PayloadError if none is there."""
        packs = [found for found in self._found if found.endswith(".pack")]
        if name == SUMS_NAME not in self._found and not packs:
            raise PayloadError(
                f"there is no Sealift bundle in {', '.join(self.places)}",
                hint="Name the bundle's directory or its .tar, and check that the "
                "right medium is mounted.",
            )
        if not self._found.get(name):
            raise PayloadError(
                f"{name} is missing from {', '.join(self.places)}",
                hint="Give every medium of the bundle on the command line, or copy "
                "the missing file to one of them.",
            )
        return self._found[name][0]

    def drop_cache(self) -> None:
        """Make reads reach the media, as far as the kernel lets that be asked for."""
        for one in (self, *self.patches):
            for files in one._found.values():
                for file in files:
                    file.drop_cache()

    def _check_places(self) -> None:
        if self.faults and len(self.places) == 1:
            (message,) = self.faults.values()
            raise PayloadError(
                message,
                hint="Copy it to the medium again. If it is not a bundle, name the "
                "bundle's directory or its .tar.",
            )
        if self.patches and not self.places:
            patches = ", ".join(place for each in self.patches for place in each.places)
            raise PayloadError(
                f"{patches} holds a patch, and no bundle",
                hint="Name the media of the bundle that it mends as well.",
            )

    def _add(self, path: str) -> None:
        try:
            inner = _bundle_in(path) if os.path.isdir(path) else path
            if not os.path.isdir(inner):
                self.places += (path,)
                self._add_tar(inner, path)
            elif _lists_patch(inner):
                patch = Media(())
                patch.places = (path,)
                self.patches.append(patch)
                self._add_directory(inner, path, patch)
            else:
                self.places += (path,)
                self._add_directory(inner, path, self)
        except OSError as error:
            raise PayloadError(
                f"{path} cannot be opened: {error.strerror}",
                hint="Name the bundle's directory or its .tar, and check that the "
                "medium is mounted.",
            ) from error

    def _add_directory(self, path: str, place: str, home: Media) -> None:
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            kind = litter_kind(entry.name)
            if kind:
                self._litter.add(kind)
            if is_outer_name(entry.name):
                self._add_file(entry, place, home)

    def _add_file(self, entry: os.DirEntry[str], place: str, home: Media) -> None:
        try:
            if entry.is_file(follow_symlinks=False):
                fd, size = self._open(entry.path)
                home._keep(entry.name, MediaFile(fd, entry.path, 0, size, place))
        except OSError as error:
            if error.errno not in _FAILING:
                raise
            reason = os.strerror(error.errno)
            home._keep(entry.name, _FailingFile(entry.path, place, reason))

    def _add_tar(self, path: str, place: str) -> None:
        fd, total = self._open(path)
        archive = MediaFile(fd, path, 0, total, place)
        try:
            for base, file in _members(archive, fd, total):
                self._keep(base, file)
        except (ValueError, PayloadError) as error:
            # Another medium may have what lies behind this.
            self.faults[place] = f"{path} is not a whole Sealift tar: {error}"

    def _open(self, path: str) -> Tuple[int, int]:
        fd = os.open(path, _OPEN_FLAGS)
        self._fds.append(fd)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise PayloadError(
                f"{path} is not a regular file",
                hint="Name the bundle's directory or its .tar.",
            )
        return fd, status.st_size

    def _keep(self, name: str, file: MediaFile) -> None:
        self._found.setdefault(name, []).append(file)


def _allow_many_files() -> None:
    """Take all the open files the system grants: 2 TB in CD-sized packs are 3,000."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _members(
    archive: MediaFile, fd: int, total: int
) -> Iterator[Tuple[str, MediaFile]]:
    """Yield name and place of each file; ValueError unless all lie in one folder.

    Two of one name would be one file to us and another to who unpacks the tar.
    """
    folders: Set[str] = set()
    names: Set[str] = set()
    for name, start, size in ustar.members(archive.read_at, total):
        folder, _, base = name.rpartition("/")
        folders.add(folder)
        if not (is_outer_name(base) and _FOLDER.match(folder)) or len(folders) > 1:
            raise ValueError(f"{name!a} does not lie in its one folder")
        if base.lower() in names:
            raise ValueError(f"it has {name!a} twice")
        names.add(base.lower())
        if len(names) > _MAX_MEMBERS:
            raise ValueError("it has more members than a bundle has files")
        label = f"{archive.label}:{name}"
        yield base, MediaFile(fd, label, start, size, archive.place)


def _bundle_in(path: str) -> str:
    """Return `path`, or the one bundle in it, directory or tar."""
    if _looks_like_bundle(path):
        return path
    inner = [
        entry.path
        for entry in os.scandir(path)
        if _FOLDER.match(entry.name)  # Others end up in messages, newlines and all.
        and _may_be_bundle(entry)
    ]
    if len(inner) > 1:
        raise PayloadError(
            f"{path} holds several bundles: {', '.join(sorted(inner))}",
            hint="Name the one that is meant, and patches for it beside it.",
        )
    return inner[0] if inner else path


def _lists_patch(path: str) -> bool:
    """Say whether the SHA256SUMS in a directory names a patch; nothing is trusted."""
    try:
        fd = os.open(os.path.join(path, SUMS_NAME), _OPEN_FLAGS)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        return _PATCH_LINE in os.pread(fd, MAX_SUMS, 0)
    except OSError:
        return False
    finally:
        os.close(fd)


def _may_be_bundle(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir(follow_symlinks=False):
        return _looks_like_bundle(entry.path)
    return entry.name.endswith(".tar") and entry.is_file(follow_symlinks=False)


def _looks_like_bundle(path: str) -> bool:
    try:
        names = os.listdir(path)
    except OSError:
        return False
    return SUMS_NAME in names or any(name.endswith(".pack") for name in names)
