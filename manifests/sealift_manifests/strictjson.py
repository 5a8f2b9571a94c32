"""JSON that has one meaning only.

Python, Go and jq disagree about duplicate keys, case and NaN; signed documents
must not depend on who reads them. Reading refuses all of that, writing gives the
same bytes for the same value.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Dict, List, Tuple

from sealift_manifests.errors import ManifestError

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""

_DAMAGED = "The document is damaged or was not made by Sealift. Do not use it."


def dump(value: Any) -> bytes:
    """Return `value` as sorted, indented ASCII JSON with a final newline."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True)
    return (text + "\n").encode("ascii")


def dump_line(value: Any) -> bytes:
    """Return `value` as one line of sorted ASCII JSON, newline included."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return (text + "\n").encode("ascii")


def load(data: bytes, where: str) -> Any:
    """Parse ASCII JSON; raise ManifestError for anything two readers could differ on.

    `where` names the document in errors.
    """
    try:
        value = json.loads(
            data.decode("ascii"),
            object_pairs_hook=_unique_object,
            parse_constant=_refuse_constant,
            parse_float=_refuse_float,
            parse_int=_bounded_int,
        )
        if b"\\u" in data:
            # Half a surrogate pair is no character: it could not even be printed.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"{where} is not strict JSON: {error}", hint=_DAMAGED
        ) from error


def _unique_object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs) or not _differ(tuple(result)):
        raise ValueError("an object has the same key twice (or in two cases)")
    return result


@lru_cache(maxsize=64)
def _differ(keys: Tuple[str, ...]) -> bool:
    # A document has many objects and few kinds of them.
    return len({key.casefold() for key in keys}) == len(keys)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not allowed")


def _refuse_float(text: str) -> Any:
    raise ValueError(f"{text} is not an integer")


def _bounded_int(text: str) -> int:
    if len(text) < 16 and text != "-0":
        return int(text)
    value = int(text[:20])
    if text == "-0":
        raise ValueError("-0 is not an integer to every reader")
    if len(text) > 20 or abs(value) > MAX_INTEGER:
        raise ValueError(f"{text[:20]} is beyond 2^53")
    return value
