"""The store: a file is there when all of it was verified, and never in part."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from making import flip
from sealift_installer import store
from sealift_installer.layout import Layout
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import DigestMismatchError, PayloadError
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust
from staged import stage

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
KEY = (GOLDEN / "golden-ed25519.pub").read_text()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "bundle-v1", tmp_path / "medium"))


@pytest.fixture
def bundle(copy: Path) -> Iterator[Bundle]:
    with Media([str(copy)]) as media:
        now = datetime(2026, 2, 1, tzinfo=UTC)
        yield open_bundle(media, Trust.from_key_file(KEY, "key"), now)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(str(tmp_path / "state"), str(tmp_path / "config"))


def staged(layout: Layout) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path(layout.store).rglob("*/*")}


def test_every_file_of_the_models_is_staged_once_and_read_only(layout, bundle):
    missing = store.missing_contents(layout, bundle)

    seen = stage(layout, bundle, missing)

    assert seen == sum(content.size for content in missing)
    assert store.missing_contents(layout, bundle) == ()
    for content in missing:
        path = layout.content(content.digest)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o444
        with open(path, "rb") as file:
            assert digest_of(file.read()) == content.digest
    assert len(staged(layout)) == len(missing) == 7


def test_what_was_verified_before_a_damaged_part_stays_and_nothing_else_is_there(
    layout, bundle, copy
):
    missing = store.missing_contents(layout, bundle)
    last = bundle.index.chunks[missing[-1].chunks[-1]]
    flip(copy / "data-0001.pack", last.offset)

    with pytest.raises(DigestMismatchError, match=r"data-0001\.pack"):
        stage(layout, bundle, missing)

    assert missing[-1].digest.hex not in staged(layout)
    for name, data in staged(layout).items():
        assert digest_of(data).hex == name


def test_chunks_that_make_another_file_than_was_signed_are_refused(layout, bundle):
    first, second = store.missing_contents(layout, bundle)[1:3]
    swapped = first._replace(chunks=second.chunks, size=second.size)

    with pytest.raises(DigestMismatchError, match="than was signed"):
        stage(layout, bundle, [swapped])

    assert staged(layout) == {}


def test_a_link_or_another_size_in_the_store_does_not_count(layout, bundle):
    stage(layout, bundle, store.missing_contents(layout, bundle))
    short, linked = [c for c in bundle.index.contents.values() if c.size > 5000][:2]
    placed = [layout.content(content.digest) for content in (short, linked)]
    for path in placed:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
    Path(placed[0]).write_bytes(b"short")
    os.symlink("/etc/hostname", placed[1])

    assert not store.is_stored(layout, short)
    assert not store.is_stored(layout, linked)


def test_a_medium_that_ends_early_is_told(layout, bundle, copy):
    missing = store.missing_contents(layout, bundle)
    os.truncate(copy / "data-0001.pack", 100)

    with pytest.raises(PayloadError):
        stage(layout, bundle, missing)
