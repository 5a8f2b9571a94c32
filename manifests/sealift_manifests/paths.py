"""Which names a bundle may carry, outside and inside.

Outer names are those of the bundle's own files; they must survive FAT32, exFAT
and `sha256sum -c`. Inner paths are those of model and stack files; they must
stay below their root and be distinct on every file system.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Dict, Iterable

from sealift_manifests.errors import UnsafePathError

_OUTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?<!\.)\Z")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\Z")
_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")

_NOTE = re.compile(r"[ -~]{1,512}\Z")

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Controls, line separators, and what turns the direction of writing."""

MAX_PATH = 1024
"""The longest inner path, in UTF-8 bytes; one part of it has at most 255."""

_HINT = "Rename it at the source and build again. Do not install this bundle."


def is_outer_name(name: str) -> bool:
    """Say whether `name` may be a file of the bundle itself."""
    return bool(_OUTER.match(name))


def is_label(name: str) -> bool:
    """Say whether `name` may name a bundle, a model or an image.

    Lowercase letters, digits, `-` and `_`: what Compose projects, volumes and
    file names all accept.
    """
    return bool(_LABEL.match(name))


def is_version(text: str) -> bool:
    """Say whether `text` may be the version of a bundle."""
    return bool(_VERSION.match(text))


def is_note(text: str) -> bool:
    """Say whether `text` may be shown as it is: printable ASCII, at most 512."""
    return bool(_NOTE.match(text))


def check_inner_path(path: str) -> None:
    """Raise UnsafePathError unless `path` is relative, plain and stays inside."""
    reason = _fault(path)
    if reason:
        raise UnsafePathError(f"the file name {path!r} {reason}", hint=_HINT)


def check_inner_paths(paths: Iterable[str]) -> None:
    """Check every path, and that no two collide on any file system.

    Collisions: the same name after case folding and Unicode normalisation, or a
    name that is a file in one place and a directory in another.
    """
    seen: Dict[str, str] = {}
    folders: Dict[str, str] = {}
    for path in paths:
        check_inner_path(path)
        folded = unicodedata.normalize("NFKC", path).casefold()
        if folded in seen:
            raise UnsafePathError(
                f"the file names {seen[folded]!r} and {path!r} are one name on "
                "some file systems",
                hint=_HINT,
            )
        seen[folded] = path
        parts = folded.split("/")
        for end in range(1, len(parts)):
            folders.setdefault("/".join(parts[:end]), path)
    for folded in folders:
        if folded in seen:
            raise UnsafePathError(
                f"{seen[folded]!r} is a file, and {folders[folded]!r} needs it to be "
                "a directory",
                hint=_HINT,
            )


def _fault(path: str) -> str:
    if not path or path.startswith("/"):
        return "is empty or absolute"
    if _UNPRINTABLE.search(path) or "\\" in path:
        return "has a control character or a backslash"
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if len(encoded) > MAX_PATH:
        return f"is longer than {MAX_PATH} bytes"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "has an empty, '.' or '..' part"
        if len(part.encode("utf-8")) > 255:
            return "has a part longer than 255 bytes"
    return ""
