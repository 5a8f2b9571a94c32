"""The newest readable tables judge, and nothing but their date decides which."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from preflight_making import a_host
from sealift_manifests.errors import SealiftError
from sealift_manifests.preflight.check import check_host
from sealift_manifests.preflight.newest import (
    BUILT_IN,
    MAX_TABLES,
    Offer,
    built_in,
    newest_tables,
)
from sealift_manifests.preflight.tables import parse_tables

OWN = json.loads(built_in().data)
DATE = OWN["as_of"]


def dated(day: str, **changes: Any) -> bytes:
    """Return our own tables under another date."""
    return json.dumps({**OWN, "as_of": day, **changes}).encode()


def test_the_newest_of_all_offers_judges():
    offers = [Offer(day, dated(day)) for day in ("2027-03-01", "2028-01-31", "2027-12")]

    chosen = newest_tables(offers)

    assert (chosen.origin, chosen.tables.as_of) == ("2028-01-31", "2028-01-31")
    assert chosen.data == offers[1].data
    assert chosen.unread == ()


@pytest.mark.parametrize("day", [DATE, "2020-01-01", DATE[:7]])
def test_what_is_not_newer_changes_nothing(day):
    chosen = newest_tables([Offer("a bundle", dated(day))])

    assert (chosen.origin, chosen.data) == (BUILT_IN, built_in().data)
    assert chosen.facts() == {"as_of": DATE, "origin": BUILT_IN}


@pytest.mark.parametrize(
    ("offer", "why"),
    [
        (Offer("bundle x 1", b"{"), "not strict JSON"),
        (Offer("bundle x 1", b"{}"), "not a file of NVIDIA tables"),
        (Offer("bundle x 1", dated("2030-01-01", format=2)), "not of format 1"),
        (Offer("bundle x 1", dated("2030-01-01", sources=[])), "sources"),
        (Offer("bundle x 1", dated("2030-01-01", colours={})), "colours"),
        (Offer("bundle x 1", dated("2030-01-01", gpus=None)), "gpus"),
        (Offer("bundle x 1", dated("soon")), "bad date"),
        (Offer("bundle x 1", b" " * (MAX_TABLES + 1)), "too many"),
        (Offer("installed x", fault="it was changed"), "it was changed"),
    ],
)
def test_what_cannot_be_read_is_noted_and_the_rest_judges(offer, why):
    chosen = newest_tables([offer, Offer("bundle y 2", dated("2029-01-01"))])

    assert chosen.origin == "bundle y 2"
    (note,) = chosen.unread
    assert (note.level, note.slug, note.about) == (
        "note",
        "tables-unread",
        offer.origin,
    )
    assert why in note.measured
    assert newest_tables([offer]).origin == BUILT_IN


NEW_VALUES: list[Any] = [
    *(None, 1, True, "", "x", "99", [], {}, ["x"], {"x": 1}),
    *("1.2.3." * 50 + "1", "(" * 300, "a{99999999999}", "2026-13-41"),
]


def test_whatever_a_table_says_is_used_or_refused_and_never_breaks_the_judging():
    chance = random.Random(4)
    paths = list(_paths(OWN))
    host = a_host("570.124.06")
    used = 0
    for path in chance.sample(paths, 500):
        value = json.loads(built_in().data)
        inner = value
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = chance.choice(NEW_VALUES)
        try:
            tables = parse_tables(json.dumps(value).encode())
        except SealiftError:
            continue
        used += 1
        check_host(None, host, tables)
    assert used > 20


def _paths(value: Any, before: tuple = ()):
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*before, key)
        yield from _paths(inner, (*before, key))
