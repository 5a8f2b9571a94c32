"""Work on all cores: how it ends when its results are not wanted any more."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sealift_manifests.parallel import ordered_map


@pytest.fixture
def patience() -> Iterator[threading.Event]:
    """An event that work can wait for; set in the end, also when a test hangs."""
    event = threading.Event()
    timer = threading.Timer(20, event.set)
    timer.start()
    yield event
    event.set()
    timer.cancel()
    timer.join()


def after_the_first(event: threading.Event) -> Callable[[int], int]:
    def work(number: int) -> int:
        if number:
            event.wait()
        return number

    return work


def test_the_collector_waits_for_no_work(patience):
    results = ordered_map(after_the_first(patience), range(9), workers=2)
    next(results)
    cycle = [results]
    cycle.append(cycle)

    del results, cycle
    gc.collect()

    assert not patience.is_set()


def test_what_the_collector_does_in_another_thread_is_no_reason_not_to_wait(patience):
    ended = []

    def work(number: int) -> int:
        if number:
            patience.wait()
            ended.append(number)
        return number

    class Slow:
        """Is collected until the work has ended, or for long."""

        def __del__(self) -> None:
            in_collector.set()
            closed.wait(20)

    in_collector, closed = threading.Event(), threading.Event()
    slow = Slow()
    slow.itself = slow
    results = ordered_map(work, range(9), workers=2)
    next(results)
    del slow
    with ThreadPoolExecutor(1) as other:
        collection = other.submit(gc.collect)
        in_collector.wait(20)
        threading.Timer(0.05, patience.set).start()
        results.close()
        closed.set()
        collection.result()

    assert ended


def test_nothing_runs_any_more_when_it_was_closed(patience):
    running = set()

    def work(number: int) -> int:
        running.add(number)
        if number:
            patience.wait()
        running.remove(number)
        return number

    results = ordered_map(work, range(9), workers=2)
    next(results)
    threading.Timer(0.05, patience.set).start()
    results.close()

    assert running == set()


def test_the_pool_of_abandoned_work_is_given_up(patience):
    before = set(threading.enumerate())
    results = ordered_map(after_the_first(patience), range(9), workers=2)
    next(results)
    threads = set(threading.enumerate()) - before
    cycle = [results]
    cycle.append(cycle)
    del results, cycle
    gc.collect()

    patience.set()
    for thread in threads:
        thread.join(20)

    assert threads
    assert not any(thread.is_alive() for thread in threads)
