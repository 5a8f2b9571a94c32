"""bundler/SPEC.md has every key of the bundle spec."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sealift_bundler.spec import schema_bytes

DOCUMENT = Path(__file__).resolve().parents[2] / "bundler" / "SPEC.md"


def keys_of(schema: Any) -> Iterator[str]:
    """Yield the name of every property in a JSON schema."""
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        yield from properties if isinstance(properties, Mapping) else ()
        for held in schema.values():
            yield from keys_of(held)
    elif isinstance(schema, list):
        for held in schema:
            yield from keys_of(held)


def test_every_key_of_the_spec_is_documented():
    words = set(re.findall(r"[a-z_]+", DOCUMENT.read_text("utf-8")))

    assert sorted(set(keys_of(json.loads(schema_bytes()))) - words) == []
