"""SHA256SUMS: the signed root, in the format of coreutils' `sha256sum`.

Each line is 64 hex digits, two spaces, a file name. Sorted by name, each once.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping

from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import ManifestError
from sealift_manifests.paths import is_outer_name

SUMS_NAME = "SHA256SUMS"
MAX_SUMS = 4 << 20
"""The largest accepted SHA256SUMS, in bytes."""

_ROOT = re.compile(re.escape(SUMS_NAME) + r"(?:\..*)?\Z", re.IGNORECASE)
"""The list itself and its signatures: made after it, so it cannot hold them."""
_LINE = re.compile(r"([0-9a-f]{64})  (.+)\Z")
_HINT = "The file was damaged or not made by Sealift. Do not use the bundle."


def may_be_listed(name: str) -> bool:
    """Say whether SHA256SUMS may list a file of this name."""
    return is_outer_name(name) and not _ROOT.match(name)


def format_sums(digests: Mapping[str, Digest]) -> bytes:
    """Return the checksum file of these names, sorted."""
    lines = [f"{digests[name].hex}  {name}\n" for name in sorted(digests)]
    return "".join(lines).encode("utf-8")


def parse_sums(data: bytes) -> Dict[str, Digest]:
    """Parse the bundle's SHA256SUMS strictly; raise ManifestError otherwise."""
    result: Dict[str, Digest] = {}
    names: List[str] = []
    text = data.decode("ascii", errors="replace")
    if not text.endswith("\n"):
        raise ManifestError(f"{SUMS_NAME} does not end with a newline", hint=_HINT)
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        match = _LINE.match(line)
        if not match or not is_outer_name(match.group(2)):
            raise ManifestError(f"{SUMS_NAME} line {number} is malformed", hint=_HINT)
        if _ROOT.match(match.group(2)):
            raise ManifestError(
                f"{SUMS_NAME} line {number} lists {match.group(2)}, which it cannot",
                hint=_HINT,
            )
        names.append(match.group(2))
        result[match.group(2)] = from_hex(match.group(1))
    if names != sorted(result):
        raise ManifestError(f"{SUMS_NAME} is not sorted, each name once", hint=_HINT)
    if len({name.lower() for name in names}) != len(names):
        raise ManifestError(
            f"{SUMS_NAME} has two names that differ only in case", hint=_HINT
        )
    return result
