"""What more cores would give, by Amdahl's law. Pure.

A gigabyte takes t(n) = max(s + p / n, c) seconds on n cores: s is what one core does
alone, p what is shared out, c a chain of work in which each step waits for the last
(SHA-256 of a file) and which runs beside the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FORMULA = "t(n) = max(s + p / n, c)"


@dataclass(frozen=True)
class Scaling:
    """Seconds per gigabyte: `serial` s, `shared` p, `chain` c."""

    serial: float
    shared: float
    chain: float = 0.0

    def seconds(self, cores: int) -> float:
        """Return what a gigabyte takes on so many cores."""
        return max(self.serial + self.shared / cores, self.chain)

    @property
    def bound(self) -> str:
        """Say what is left when there are cores without end."""
        if self.chain >= self.serial:
            return "the chain of SHA-256 through one file"
        return "what one core does alone"


def fitted(seconds: Sequence[tuple[int, float]], chain: float = 0.0) -> Scaling:
    """Return what fits (cores, seconds per gigabyte) best; nothing is less than 0.

    Least squares over 1 / cores; two points are met exactly.
    """
    xs = [1 / cores for cores, _ in seconds]
    ys = [each for _, each in seconds]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((each - x) ** 2 for each in xs)
    if not spread:
        return Scaling(y, 0.0, chain)
    both = zip(xs, ys, strict=True)
    shared = max(0.0, sum((a - x) * (b - y) for a, b in both) / spread)
    serial = y - shared * x
    if serial < 0:
        # More than twice as fast on two cores: all of it is shared out.
        return Scaling(0.0, sum(ys) / sum(xs), chain)
    return Scaling(serial, shared, chain)
