"""A host's rule for signatures: how many trusted keys, of which types.

The rule lives on the host and never in a bundle. Applying it is `trust`'s job.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

from .errors import TrustStoreError
from .sshsig import ALGORITHMS


@dataclass(frozen=True)
class Policy:
    """How many distinct trusted keys must have signed, and of which types."""

    threshold: int = 1
    algorithms: Tuple[str, ...] = ALGORITHMS

    def __post_init__(self) -> None:
        if type(self.threshold) is not int or self.threshold < 1:
            raise ValueError("threshold is not a number of 1 or more")
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise ValueError("algorithms must be some of: " + ", ".join(ALGORITHMS))


def parse_policy(text: str, where: str = "the policy") -> Policy:
    """Return the policy of a JSON text, or raise TrustStoreError.

    Fields: `threshold`, a number, and `algorithms`, a list. Both may be left out;
    nothing else may be there, since a misspelt rule would be a rule not kept.
    """
    try:
        fields = json.loads(text, object_pairs_hook=_without_duplicates)
        if not isinstance(fields, dict):
            raise ValueError("it is not a JSON object")
        unknown = sorted(set(fields) - {"threshold", "algorithms"})
        if unknown:
            raise ValueError(f"it has the unknown field {unknown[0]!a}")
        algorithms = fields.get("algorithms", list(ALGORITHMS))
        if not isinstance(algorithms, list) or not all(
            isinstance(name, str) for name in algorithms
        ):
            raise ValueError("algorithms is not a list of names")
        return Policy(fields.get("threshold", 1), tuple(algorithms))
    except (ValueError, RecursionError) as error:
        raise TrustStoreError(
            f"{where} cannot be used: {error}",
            hint='Correct it. A policy looks like: {"threshold": 1, '
            '"algorithms": ["ssh-ed25519", "ecdsa-sha2-nistp384"]}',
        ) from error


def _without_duplicates(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields
