"""What bundles that are tortured carry: weights, and an image where an engine is."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path
from random import Random


def write_weights(path: Path, random: Random) -> None:
    """Write BF16 tensors whose exponents shrink as those of weights do."""
    tensors = {f"layer.{n}": 3 << 20 for n in range(8)}
    header, at = {}, 0
    for name, size in tensors.items():
        place = [at, at + size]
        header[name] = {"dtype": "BF16", "shape": [size // 2], "data_offsets": place}
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for size in tensors.values():
            data = bytearray(random.randbytes(size))
            data[1::2] = bytes(0x3C + (byte & 3) for byte in data[1::2])
            file.write(data)


def import_image(reference: str, random: Random) -> bool:
    """Put an image of one layer into the engine; say whether there is an engine."""
    if not shutil.which("docker"):
        return False
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("data")
        entry.size = 8 << 20
        tar.addfile(entry, io.BytesIO(random.randbytes(entry.size)))
    command = ["docker", "import", "--platform", "linux/amd64", "-", reference]
    made = subprocess.run(command, input=layer.getvalue(), capture_output=True)
    return made.returncode == 0
