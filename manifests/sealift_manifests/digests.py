"""SHA-256 digests as values: `sha256:` and 64 lowercase hex digits."""

from __future__ import annotations

import hashlib
import re
from typing import Union

_FORM = re.compile(r"sha256:[0-9a-f]{64}\Z")

Buffer = Union[bytes, bytearray, memoryview]


class Digest(str):
    """The identity of some bytes: `sha256:` and 64 lowercase hex digits."""

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        if not _FORM.match(text):
            raise ValueError(f"not a sha256 digest: {text[:80]!r}")
        return str.__new__(cls, text)

    @property
    def hex(self) -> str:
        """The 64 hex digits alone."""
        return self[7:]

    @property
    def short(self) -> str:
        """The first 12 hex digits, for people."""
        return self[7:19]


def from_hex(text: str) -> Digest:
    """Return the digest with these 64 hex digits."""
    return Digest("sha256:" + text)


def digest_of(data: Buffer) -> Digest:
    """Measure bytes that are in memory."""
    return from_hex(hashlib.sha256(data).hexdigest())
