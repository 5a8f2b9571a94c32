"""Local model directories: which files are there, links followed to real files.

Reads names and sizes only. What is wrong is collected and told at once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sealift_manifests.errors import SourceContentError, SpecError

_NOT_CARRIED = {
    ".git": "history of a git clone",
    ".cache/huggingface": "bookkeeping of the Hub client",
}
_SHOWN = 20


@dataclass(frozen=True)
class LocalFile:
    """A file of a local model: its name in the tree and the real file behind it."""

    path: str
    source: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class LocalTree:
    """The files of a directory, sorted by path, and what was left out, with reason."""

    files: tuple[LocalFile, ...]
    notes: tuple[str, ...]


def scan_directory(path: Path) -> LocalTree:
    """List the files below `path`; raise SourceContentError for what is none.

    Links to files are followed anywhere (a Hub cache links into its blobs), links to
    directories only inside the tree.
    """
    root = _existing_root(path)
    scan = _Scan(root)
    scan.walk(path, (), "")
    if scan.faults:
        raise _unusable(path, scan.faults)
    if not scan.files:
        raise SourceContentError(
            f"there is no file in {path}", hint="Name the directory of the model."
        )
    files = tuple(sorted(scan.files, key=lambda file: file.path))
    return LocalTree(files, tuple(sorted(scan.notes)))


def _existing_root(path: Path) -> Path:
    try:
        root = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise SpecError(
            f"the model directory {path} cannot be found",
            hint="Check the path; it is taken as seen from the spec file.",
        ) from error
    if not root.is_dir():
        raise SpecError(
            f"{path} is not a directory",
            hint="Name the directory that holds the model's files.",
        )
    if (root / "snapshots").is_dir() and (root / "blobs").is_dir():
        found = sorted(str(p) for p in (root / "snapshots").iterdir() if p.is_dir())
        raise SpecError(
            f"{path} is a whole Hub cache folder, not one snapshot of the model",
            hint="Name one of: " + (", ".join(found) or "(it holds no snapshot)"),
        )
    return root


def _unusable(path: Path, faults: list[str]) -> SourceContentError:
    shown = sorted(faults)[:_SHOWN]
    more = len(faults) - len(shown)
    tail = f"; and {more} more" if more else ""
    return SourceContentError(
        f"of what is in {path}, {len(faults)} cannot be carried: "
        + "; ".join(shown)
        + tail,
        hint="Fetch the missing files, make them readable, or remove what does not "
        "belong to the model.",
    )


@dataclass
class _Scan:
    root: Path
    files: list[LocalFile] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def walk(self, folder: Path, above: tuple[Path, ...], prefix: str) -> None:
        """Take in a folder; `above` are the real folders that lead to it."""
        real = folder.resolve()
        if real in above:
            self.faults.append(f"{_shown(prefix)}: a link that leads back to itself")
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.faults.append(f"{_shown(prefix)}: {error.strerror}")
            return
        for entry in entries:
            self._take(entry, (*above, real), prefix + entry.name)

    def _take(
        self, entry: os.DirEntry[str], above: tuple[Path, ...], path: str
    ) -> None:
        reason = _NOT_CARRIED.get(path) or (
            _NOT_CARRIED.get(entry.name) if entry.name == ".git" else None
        )
        if reason:
            self.notes.append(f"left out {_shown(path)} ({reason})")
            return
        for fault in self._taken(entry, above, path):
            self.faults.append(f"{_shown(path)}: {fault}")

    def _taken(
        self, entry: os.DirEntry[str], above: tuple[Path, ...], path: str
    ) -> Iterator[str]:
        """Take one entry in, or say what is wrong with it."""
        if not path.isprintable():
            yield "a name that cannot be shown"
            return
        try:
            source = Path(entry.path).resolve(strict=True)
            found = source.stat()
        except (OSError, RuntimeError):
            yield "a dangling link" if entry.is_symlink() else "cannot be read"
            return
        if stat.S_ISDIR(found.st_mode):
            if source != self.root and self.root not in source.parents:
                yield f"a link to a directory elsewhere ({source})"
            else:
                self.walk(Path(entry.path), above, f"{path}/")
        elif not stat.S_ISREG(found.st_mode):
            yield f"not a file ({stat.filemode(found.st_mode)[0]})"
        elif not os.access(source, os.R_OK):
            yield "no permission to read it"
        else:
            self.files.append(LocalFile(path, source, found.st_size, found.st_mtime_ns))


def _shown(path: str) -> str:
    """Return a path for messages: escaped where it could fool a terminal."""
    name = path.rstrip("/") or "."
    return name if name.isprintable() else ascii(name)
