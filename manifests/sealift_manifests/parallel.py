"""Work on many items with every core, results in order, few in flight.

hashlib, zstd and file reads release the interpreter lock on large buffers, so
threads use all cores. What is in flight is bounded, and memory that a thread needs
for a moment is used again, so memory stays constant.
"""

from __future__ import annotations

import gc
import mmap
import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Callable, Deque, Generator, Iterable, Iterator, TypeVar, Union

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 32
"""Threads that hash faster than any disk reads; each has memory of up to a chunk."""

Memory = Union[bytearray, mmap.mmap]
"""What can be filled in place, also every second byte at once."""


class _Collector(threading.local):
    """Whether the collector of cycles is at work in this thread.

    What it closes must not wait for another thread: it came in at any point of any
    code, which may hold the lock that the other thread needs to come to its end.
    `threading` itself holds such a lock while it starts a thread and ends one.
    """

    is_at_work = False

    def note(self, phase: str, _facts: object) -> None:
        self.is_at_work = phase == "start"


_collector = _Collector()
gc.callbacks.append(_collector.note)


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def ordered_map(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int = 0,
) -> Generator[Result, None, None]:
    """Yield `work(item)` in the order of the items, computed by a pool of threads.

    At most two items more than there are workers are in flight. An exception in
    `work` comes out at its item's turn. `workers` is the number of cores when 0, but
    no more than 32. When this ends or is closed, no `work` runs any more.
    """
    count = workers or min(core_count(), _MOST)
    waiting: Deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(max_workers=count)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= count + 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown(wait=not _collector.is_at_work)


def large_buffer(size: int) -> mmap.mmap:
    """Return `size` bytes of memory, in large pages where the kernel has some.

    In pages of 4 KiB, the processor hashes a buffer a quarter slower when there are
    several of 8 MiB: it spends that time looking up where the pages lie.
    """
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except (AttributeError, OSError):
        pass  # A kernel without large pages: it is slower, and nothing else.
    return memory


class Scratch(threading.local):
    """Memory for intermediate values, each thread's own.

    Fresh memory for every chunk would cost as much as reading the chunk: the kernel
    has to clear each page of it.
    """

    def __init__(self) -> None:
        self._kept = memoryview(b"")

    def take(self, size: int) -> memoryview:
        """Return `size` bytes, which this thread may use until it takes again."""
        if len(self._kept) < size:
            self._kept = memoryview(large_buffer(size))
        return self._kept[:size]


@contextmanager
def no_collecting() -> Iterator[None]:
    """Let the collector of cycles rest: while very many values without any are made.

    It would look at all of them again and again, which takes as long as making them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
