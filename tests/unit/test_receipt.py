"""The receipt: read back as it was written, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import SealiftError
from sealift_manifests.model_entries import FileEntry
from sealift_manifests.receipt import (
    PLAIN,
    HeldImage,
    HeldLayer,
    HeldModel,
    HeldRelease,
    Receipt,
    dump_receipt,
    parse_receipt,
)

D = digest_of(b"x")
RELEASE = HeldRelease(
    name="acme",
    version="1.0",
    serial=7,
    root=D,
    current=True,
    models=(HeldModel("chat", (FileEntry("a/b.json", 3, D),)),),
    images=(HeldImage("web", "docker.io/x/y:1", (HeldLayer(D, 5, D, PLAIN),)),),
    chunks=(D, digest_of(b"y")),
)
RECEIPT = Receipt(1, "sealift-receipt", "2026-11-01T12:00:00Z", (RELEASE,))


def test_a_receipt_is_read_back_as_it_was_written():
    data = dump_receipt(RECEIPT)

    assert parse_receipt(data) == RECEIPT
    assert dump_receipt(parse_receipt(data)) == data


WRONGS: dict[str, Callable[[dict[str, Any]], object]] = {
    "type": lambda v: v.update(type="sealift-survey"),
    "format": lambda v: v.update(format=2),
    "time": lambda v: v.update(created="now"),
    "unknown field": lambda v: v.update(host="db-1"),
    "release twice": lambda v: v["releases"].append(v["releases"][0]),
    "name": lambda v: v["releases"][0].update(name="\x1b[2J"),
    "version": lambda v: v["releases"][0].update(version="a b"),
    "serial": lambda v: v["releases"][0].update(serial=0),
    "chunk": lambda v: v["releases"][0].update(chunks=["sha256:0"]),
    "model name": lambda v: v["releases"][0]["models"][0].update(name="../x"),
    "path": lambda v: v["releases"][0]["models"][0]["files"][0].update(path="../x"),
    "image name": lambda v: v["releases"][0]["images"][0].update(name="X"),
    "reference": lambda v: v["releases"][0]["images"][0].update(reference="a\nb"),
    "form": lambda v: v["releases"][0]["images"][0]["layers"][0].update(form="zip"),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_no_sound_receipt_is_refused_in_our_words(wrong):
    value = json.loads(dump_receipt(RECEIPT))
    WRONGS[wrong](value)

    with pytest.raises(SealiftError):
        parse_receipt(json.dumps(value).encode())
