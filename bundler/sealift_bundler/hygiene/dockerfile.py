"""Which bases a Dockerfile builds on, and which of them can mean another tomorrow."""

from __future__ import annotations

import re

from sealift_manifests.references import read_reference

_FROM = re.compile(
    r"^\s*FROM\s+(?:--platform=\S+\s+)?(?P<base>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*$",
    re.IGNORECASE,
)
_ARG = re.compile(r"^\s*ARG\s+(?P<name>\w+)=(?P<value>\S+)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")


def loose_bases(text: str, args: dict[str, str]) -> list[str]:
    """Return the bases without a digest, as the Dockerfile has them.

    `args` are the build arguments that are given. Stages and `scratch` are no bases.
    """
    given: dict[str, str] = {}
    stages: set[str] = set()
    loose = []
    for line in text.replace("\\\n", " ").splitlines():
        if argument := _ARG.match(line):
            name = argument["name"]
            given[name] = args.get(name, argument["value"].strip("\"'"))
        if found := _FROM.match(line):
            base = _filled(found["base"], {**given, **args})
            if base.lower() not in stages | {"scratch"} and _is_loose(base):
                loose.append(base)
            if found["stage"]:
                stages.add(found["stage"].lower())
    return loose


def _filled(text: str, values: dict[str, str]) -> str:
    return _VARIABLE.sub(
        lambda m: values.get(m[1] or m[3] or "", m[2] or m[0]),
        text,
    )


def _is_loose(base: str) -> bool:
    try:
        return not read_reference(base).is_pinned
    except ValueError:
        return True
