"""What Ed25519 and P-384 share: m*a + n*b, whatever the points are.

For verification only: how long it takes depends on the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Generic, Tuple, TypeVar

Point = TypeVar("Point")


@dataclass(frozen=True)
class Group(Generic[Point]):
    """The points of a curve: the neutral one, how to add two, how to double one."""

    neutral: Point
    add: Callable[[Point, Point], Point]
    double: Callable[[Point], Point]

    def sum_of_multiples(
        self, first: Tuple[int, Point], second: Tuple[int, Point]
    ) -> Point:
        """Return m*a + n*b of (m, a) and (n, b), sharing the doublings."""
        (m, a), (n, b) = first, second
        add, double = self.add, self.double
        both = add(a, b)
        total = self.neutral
        for bit in range(max(m.bit_length(), n.bit_length()) - 1, -1, -1):
            total = double(total)
            of_m, of_n = m >> bit & 1, n >> bit & 1
            if of_m and of_n:
                total = add(total, both)
            elif of_m:
                total = add(total, a)
            elif of_n:
                total = add(total, b)
        return total
