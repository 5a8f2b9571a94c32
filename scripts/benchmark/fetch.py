"""Fetch an image as `sealift build` does, and nothing else: a program to be measured.

python -m benchmark.fetch HOST/NAME:TAG DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path

from sealift_bundler.registry import fetch, resolve
from sealift_manifests.references import parse_reference


def main(reference: str, folder: Path) -> None:
    """Bring config and layers into the directory, each compared with its digest."""
    parsed = parse_reference(reference)
    insecure = frozenset({parsed.registry})
    found = resolve(parsed, "linux/amd64", insecure=insecure)
    fetch(found, folder, insecure=insecure)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
