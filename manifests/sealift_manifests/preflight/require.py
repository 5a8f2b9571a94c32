"""NVIDIA_REQUIRE_*: what an image demands of driver and GPU, evaluated as NVIDIA does.

There are two evaluators in the field. "c" is libnvidia-container's, used by the
legacy path and run for each GPU: names and brands in any case, an unknown name is an
error. "go" is the toolkit's own, used on Tegra: exact case, unknown names ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from sealift_manifests.preflight.needs import Variable
from sealift_manifests.preflight.versions import numbers

DIALECTS = ("c", "go")
PREFIX = "NVIDIA_REQUIRE_"
_JETPACK = "NVIDIA_REQUIRE_JETPACK"
_FACTOR = re.compile(r"([^=!<>]+)(>=|<=|!=|=|<|>)(.+)\Z")
_NAMES = ("cuda", "driver", "arch", "brand")
_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*\Z")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")


@dataclass(frozen=True)
class Properties:
    """What requirements are held against: versions, compute capability, brand.

    `brand` is spelt as in requirements ("nvidiartx"). None is unknown.
    """

    cuda: Optional[str] = None
    driver: Optional[str] = None
    arch: Optional[str] = None
    brand: Optional[str] = None


@dataclass(frozen=True)
class Verdict:
    """Whether requirements hold: None where that cannot be told.

    `unmet`: the first term of the first expression that does not hold, which is
    what the toolkit prints. `fault`: what cannot be evaluated.
    """

    met: Optional[bool]
    unmet: str = ""
    fault: str = ""


class _MalformedError(ValueError):
    """An expression that the evaluator refuses."""


def is_disabled(value: Optional[str]) -> bool:
    """Tell whether a value of NVIDIA_DISABLE_REQUIRE switches requirements off.

    What is no boolean to the toolkit counts as false.
    """
    return value in _TRUE


def requirements(
    variables: Sequence[Variable], cuda: Optional[str]
) -> Tuple[Variable, ...]:
    """Return what holds for an image, with what the toolkit adds by itself.

    An image with CUDA_VERSION (`cuda`) and without NVIDIA_REQUIRE_CUDA counts as an
    old one, and must have a driver of that CUDA version.
    """
    kept = [
        variable
        for variable in variables
        if variable.name.startswith(PREFIX)
        and not variable.name.startswith(_JETPACK)
        and variable.value.strip()
    ]
    version = re.match(r"[0-9]+\.[0-9]+", cuda or "")
    if version and not any(each.name == f"{PREFIX}CUDA" for each in kept):
        kept.append(Variable(f"{PREFIX}CUDA", f"cuda>={version.group()}"))
    return tuple(kept)


def evaluate(
    variables: Sequence[Variable], properties: Properties, dialect: str = "c"
) -> Verdict:
    """Evaluate all variables for one GPU; every one of them must hold."""
    unknown = False
    for variable in variables:
        try:
            met = _expression(variable.value, properties, dialect)
        except _MalformedError as error:
            return Verdict(None, fault=f"{variable.name}: {error}")
        if met is False:
            return Verdict(False, unmet=variable.value.split()[0])
        unknown = unknown or met is None
    return Verdict(None if unknown else True)


def _expression(text: str, properties: Properties, dialect: str) -> Optional[bool]:
    """Return whether one of the terms holds; terms of ignored factors do not count."""
    terms: List[Optional[bool]] = []
    for term in text.split():
        factors = [
            _factor(factor, properties, dialect)
            for factor in term.split(",")
            if factor and not _is_ignored(factor, dialect)
        ]
        if factors:
            terms.append(_all(factors))
    return _any(terms) if terms else True


def _is_ignored(factor: str, dialect: str) -> bool:
    match = _FACTOR.match(factor)
    return dialect == "go" and bool(match) and match.group(1) not in _NAMES  # type: ignore[union-attr]


def _factor(text: str, properties: Properties, dialect: str) -> Optional[bool]:
    match = _FACTOR.match(text)
    if not match:
        raise _MalformedError(f"invalid expression {text!r}")
    name, operator, wanted = match.groups()
    # What "go" would not know by its case was passed over before.
    name = name.lower()
    if name not in _NAMES:
        raise _MalformedError(f"unknown property in {text!r}")
    have: Optional[str] = getattr(properties, name)
    if name == "brand":
        return _brand(have, operator, wanted, dialect)
    if not _VERSION.match(wanted):
        raise _MalformedError(f"bad version in {text!r}")
    return _compare(numbers(have), operator, numbers(wanted) or ())


def _brand(
    have: Optional[str], operator: str, wanted: str, dialect: str
) -> Optional[bool]:
    if operator not in ("=", "!="):
        if dialect == "c":
            raise _MalformedError(f"brand takes = and != only, not {operator}")
        return False
    if have is None:
        return None
    wanted = wanted.lower() if dialect == "c" else wanted
    return (have == wanted) == (operator == "=")


def _compare(
    have: Optional[Tuple[int, ...]], operator: str, wanted: Tuple[int, ...]
) -> Optional[bool]:
    if have is None:
        return None
    return {
        "=": have == wanted,
        "!=": have != wanted,
        "<": have < wanted,
        "<=": have <= wanted,
        ">": have > wanted,
        ">=": have >= wanted,
    }[operator]


def _all(values: Sequence[Optional[bool]]) -> Optional[bool]:
    if False in values:
        return False
    return None if None in values else True


def _any(values: Sequence[Optional[bool]]) -> Optional[bool]:
    if True in values:
        return True
    return None if None in values else False
