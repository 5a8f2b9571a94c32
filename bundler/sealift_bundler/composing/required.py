"""Variables that must have a value (`${NAME:?why}`), and were given none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from sealift_manifests.errors import SpecError

from sealift_bundler.strictyaml import dotted, texts_of

_REQUIRED = re.compile(r"(?<!\$)(?:\$\$)*\$\{([A-Za-z_]\w*):?\?([^{}]*)\}")


def require_values(where: str, value: Any, left_open: Collection[str] = ()) -> None:
    """Raise SpecError for every variable of a stack that the host could not start.

    `left_open` are those that each host is asked for.
    """
    lines = list(_lines(value, left_open))
    if lines:
        raise SpecError(
            f"{where} cannot be used:\n  " + "\n  ".join(lines),
            hint="Give these a value in .env beside the first Compose file: it is read "
            "when the bundle is built, and on the host nobody gives one.",
        )


def _lines(value: Any, left_open: Collection[str]) -> Iterator[str]:
    for place, text in texts_of(value):
        for name, reason in _REQUIRED.findall(text):
            if name not in left_open:
                why = f": {reason}" if reason else ""
                yield f"{dotted(place)}: ${{{name}}} must have a value{why}"
