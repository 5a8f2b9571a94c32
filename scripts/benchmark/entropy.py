"""How small weights can be: the order-0 entropy of their byte planes, from a sample.

What codes each byte plane of a file by itself, with one table and without looking at
neighbours, cannot do better than this. What has a table for each tensor, or looks at
bit fields together, can.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

WIDTHS = {"bf16": 2, "bf16-gauss": 2, "fp16": 2, "fp32": 4}
"""Bytes of an element, of weights that are made of nothing but such elements."""

_BLOCK = 1 << 20
_BLOCKS = 64


def of_planes(model: Path, width: int) -> float:
    """Return the entropy of a model's largest file as a part of its size."""
    file = max(model.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    data = np.memmap(file, np.uint8, "r")
    counts = np.zeros((width, 256))
    last = max(0, len(data) - _BLOCK)
    for start in np.linspace(0, last, _BLOCKS).astype(int):
        # Tensors begin at multiples of 8 bytes.
        block = data[start // 8 * 8 :][:_BLOCK]
        for plane in range(width):
            counts[plane] += np.bincount(block[plane::width], minlength=256)
    shares = counts / counts.sum(axis=1, keepdims=True)
    bits = -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1)
    return float(bits.mean() / 8)
