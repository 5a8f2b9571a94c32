"""Hash installed weights from disk, on all cores, against the signed index."""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, Sequence, Set, Tuple

from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.index import Content, Index
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.verify import Progress

from sealift_installer.layout import Layout

_Task = Tuple[str, int, int, Digest]
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_scratch = Scratch()


def bad_files(
    index: Index, files: Sequence[Tuple[str, Digest]], progress: Progress
) -> Set[str]:
    """Return the paths whose bytes are not those of their digest.

    The page cache is dropped first, so that what is measured comes from the disk.
    Several paths to one inode are measured once.
    """
    groups: Dict[Tuple[int, int, Digest], List[str]] = {}
    for path, digest in files:
        status = os.lstat(path)
        groups.setdefault((status.st_dev, status.st_ino, digest), []).append(path)
    firsts = {paths[0]: (paths, key[2]) for key, paths in groups.items()}
    tasks = list(_tasks(index, firsts))
    bad: Set[str] = set()
    for task, good in zip(tasks, ordered_map(_is_good, tasks)):
        progress(task[2])
        if not good:
            bad.update(firsts[task[0]][0])
    return bad


def bad_contents(
    layout: Layout, index: Index, contents: Sequence[Content], progress: Progress
) -> Tuple[Content, ...]:
    """Return those files of the store that are not what their name says."""
    by_path = {layout.content(content.digest): content for content in contents}
    files = [(path, content.digest) for path, content in by_path.items()]
    bad = bad_files(index, files, progress)
    return tuple(by_path[path] for path in sorted(bad))


def _tasks(
    index: Index, firsts: Dict[str, Tuple[List[str], Digest]]
) -> Iterator[_Task]:
    for path, (_, digest) in firsts.items():
        _drop_cache(path)
        for number, offset in index.places(index.contents[digest]):
            chunk = index.chunks[number]
            yield path, offset, chunk.size, chunk.digest


def _drop_cache(path: str) -> None:
    """Forget all of a file at once: in parts, what was read ahead would be lost."""
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except OSError:
        return
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _is_good(task: _Task) -> bool:
    path, offset, size, digest = task
    return read_good(path, offset, _scratch.take(size), digest)


def read_good(path: str, offset: int, target: memoryview, digest: Digest) -> bool:
    """Fill `target` from `offset` of a file; say whether that is what `digest` names.

    What cannot be read is not good.
    """
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except OSError:
        return False
    size, done = len(target), 0
    try:
        # Asks for all of it at once: the kernel alone reads ahead much less.
        os.posix_fadvise(fd, offset, size, os.POSIX_FADV_WILLNEED)
        while done < size:
            got = os.preadv(fd, [target[done:]], offset + done)
            if not got:
                return False
            done += got
        return digest_of(target) == digest
    except OSError:
        return False
    finally:
        os.close(fd)
