"""Calls that must run one after the other, beside the thread that asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class InOrder:
    """Runs calls one after the other in a thread of its own, a few ahead at most."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._waiting: deque[Future[Any]] = deque()

    def submit(self, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Put a call behind those that wait; raise what an earlier one has raised."""
        future = self._pool.submit(call, *arguments)
        self._waiting.append(future)
        if len(self._waiting) > 4:
            self._waiting.popleft().result()
        return future

    def drain(self) -> None:
        """Wait for all calls."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """Leave out the calls that have not begun, and end the thread."""
        self._pool.shutdown(cancel_futures=True)
