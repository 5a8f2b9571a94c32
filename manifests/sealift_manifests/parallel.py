"""Work on many items with every core, results in order, few in flight.

hashlib, zstd and file reads release the interpreter lock on large buffers, so
threads use all cores. What is in flight is bounded, so memory stays constant.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, Deque, Iterable, Iterator, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def ordered_map(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int = 0,
) -> Iterator[Result]:
    """Yield `work(item)` in the order of the items, computed by a pool of threads.

    At most two items for each worker are in flight. An exception in `work` comes
    out at its item's turn. `workers` is the number of cores when 0.
    """
    count = workers or core_count()
    waiting: Deque[Future[Result]] = deque()
    with ThreadPoolExecutor(max_workers=count) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
