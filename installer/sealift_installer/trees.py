"""Build, compare and remove the trees that containers mount.

A tree is made of hard links into the store, so it costs no space; it appears
under its name only when it is whole.
"""

from __future__ import annotations

import os
import stat
from typing import Dict, Iterator, Tuple

from sealift_manifests.errors import StagingError
from sealift_manifests.model_entries import ModelEntry
from sealift_manifests.trees import TreeEntry, tree_of

from sealift_installer import durable
from sealift_installer.layout import Layout

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def has_tree(layout: Layout, model: ModelEntry) -> bool:
    """Say whether the model's tree is there. It never is in part."""
    return _is_directory(layout.tree(model))


def build_tree(layout: Layout, model: ModelEntry) -> None:
    """Link the model's files from the store into their tree; mend one that is there."""
    final = layout.tree(model)
    if _is_directory(final):
        _mend(layout, model, final)
        return
    durable.remove_file(final)
    parent, name = os.path.split(final)
    unfinished = os.path.join(parent, f".{name}.partial")
    durable.make_directories(parent)
    durable.remove_tree(unfinished)
    folders = {unfinished}
    os.mkdir(unfinished, 0o755)
    for entry in tree_of(model):
        path = os.path.join(unfinished, *entry.path.split("/"))
        folder = os.path.dirname(path)
        durable.make_directories(folder)
        folders.add(folder)
        _place(layout, entry, path)
    for folder in sorted(folders):
        os.chmod(folder, 0o755)
        durable.sync_directory(folder)
    durable.replace_directory(final, unfinished)


def _mend(layout: Layout, model: ModelEntry, root: str) -> None:
    """Replace what is not as it should be, name by name.

    The directories stay the same, so containers that have them mounted see the
    mended files.
    """
    expected = {entry.path: entry for entry in tree_of(model)}
    for path, _ in list(walk(root)):
        if path not in expected:
            durable.remove_file(os.path.join(root, path))
    for path, entry in expected.items():
        place = os.path.join(root, *path.split("/"))
        folder = os.path.dirname(place)
        durable.make_directories(folder)
        if os.path.lexists(place) and _is_same(layout, entry, place):
            if entry.link is None:
                os.chmod(place, 0o444)
            continue
        beside = os.path.join(folder, f".{os.path.basename(place)}.new")
        durable.remove_any(beside)
        _place(layout, entry, beside)
        if _is_directory(place):
            durable.remove_any(place)
        os.replace(beside, place)
        durable.sync_directory(folder)


def _is_same(layout: Layout, entry: TreeEntry, place: str) -> bool:
    if entry.content is None:
        return _is_sound(place, os.lstat(place), entry)
    stored = os.lstat(layout.content(entry.content))
    return os.path.samestat(os.lstat(place), stored)


def _place(layout: Layout, entry: TreeEntry, path: str) -> None:
    if entry.link is not None:
        os.symlink(entry.link, path)
    elif entry.text is not None:
        durable.write_new_file(path, entry.text, 0o444)
    elif entry.content is not None:
        os.link(layout.content(entry.content), path)


def walk(root: str) -> Iterator[Tuple[str, os.stat_result]]:
    """Yield the relative path and status of all that is not a directory.

    A directory that this user may not read is no empty one: StagingError.
    """
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        links = [n for n in folders if os.path.islink(os.path.join(folder, n))]
        for name in sorted(names + links):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root).replace(os.sep, "/")
            yield relative, os.lstat(path)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _unreadable(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):
        return
    raise StagingError(
        f"{error.filename} cannot be read: {error.strerror}",
        hint="Run the command as root.",
    ) from error


def compare_names(
    root: str, model: ModelEntry
) -> Tuple[Dict[str, str], Tuple[str, ...]]:
    """Compare names, kinds, links, sizes and who may write; read no weights.

    Returns the faults by relative path, and the paths whose bytes can be measured.
    """
    expected = {entry.path: entry for entry in tree_of(model)}
    faults: Dict[str, str] = {}
    sound = []
    if os.path.islink(root):
        faults["."] = "changed"  # What it leads to may change as somebody likes.
    for path, status in walk(root):
        entry = expected.pop(path, None)
        if entry is None:
            faults[path] = "extra"
        elif _is_sound(os.path.join(root, path), status, entry):
            sound.append(path)
        else:
            faults[path] = "changed"
    for path in expected:
        faults[path] = "missing"
    return faults, tuple(sound)


def _is_sound(path: str, status: os.stat_result, entry: TreeEntry) -> bool:
    if entry.link is not None:
        return stat.S_ISLNK(status.st_mode) and os.readlink(path) == entry.link
    if not stat.S_ISREG(status.st_mode) or status.st_mode & _WRITABLE_BY_OTHERS:
        return False
    if entry.text is not None:
        return durable.read_file(path) == entry.text
    return status.st_size == entry.size
