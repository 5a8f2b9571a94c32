"""Small files of every kind that a model has, so that every codec is used on them.

The golden bundle was made with these: they must stay as they are, byte for byte.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from making import noise

Tensors = Mapping[str, tuple[str, int, bytes]]
"""By name: safetensors dtype, width of an element in bytes, the bytes."""


def text(seed: str, lines: int) -> bytes:
    """Return lines that compress well: these end up as `zstd`."""
    words = ("a", "sealed", "crate", "crosses", "the", "gap", "and", "is", "opened")
    picks = noise(seed, 12 * lines)
    rows = [picks[at : at + 12] for at in range(0, len(picks), 12)]
    return "".join(
        " ".join(words[b % len(words)] for b in row) + "\n" for row in rows
    ).encode()


def weights(seed: str, count: int, width: int) -> bytes:
    """Return numbers as training leaves them: random below, few exponents above.

    Their byte planes compress, the bytes as they are hardly: these end up as
    `shuffle-zstd`.
    """
    low = noise(seed + " low", count * (width - 1))
    signs = noise(seed + " high", count)
    out = bytearray(count * width)
    for position in range(width - 1):
        out[position::width] = low[position :: width - 1]
    # How many bits are set is binomially distributed, much like exponents are.
    out[width - 1 :: width] = bytes(
        (byte & 0x80) | (0x38 + (byte & 0x7F).bit_count()) for byte in signs
    )
    return bytes(out)


def safetensors(tensors: Tensors) -> bytes:
    """Return a safetensors file."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, width, data) in tensors.items():
        end = at + len(data)
        shape = [len(data) // width]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    body = b"".join(data for _, _, data in tensors.values())
    return struct.pack("<Q", len(head)) + head + body


def mixed_model(elements: int = 2048) -> dict[str, bytes]:
    """Return a model with BF16, F32 and packed weights, text, an empty file.

    `elements` is how many there are of each kind of weights.
    """
    tensors: Tensors = {
        "bf16": ("BF16", 2, weights("bf16", elements, 2)),
        "f32": ("F32", 4, weights("f32", elements, 4)),
        "packed": ("U8", 1, noise("packed", elements)),
    }
    return {
        "EMPTY": b"",
        "config.json": b'{"model_type": "tiny"}\n',
        "deep/er/noise.dat": noise("noise", elements),
        "model.safetensors": safetensors(tensors),
        "tokenizer.json": text("tokenizer", 40),
    }
