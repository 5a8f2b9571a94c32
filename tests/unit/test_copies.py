"""One bundle on several media: what is bad on one is taken from another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from making import Key, a_key, build, copied, flip, noise, weights_spec
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.errors import (
    DigestMismatchError,
    PayloadError,
    SignatureError,
    UntrustedKeyError,
)
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust

PACK = "data-0001.pack"
SIGNATURE = "SHA256SUMS.release.sig"


@dataclass(frozen=True)
class Pair:
    """Two copies of one bundle, and who is trusted."""

    one: Path
    two: Path
    trust: Trust


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    root = tmp_path_factory.mktemp("copies")
    return build(weights_spec(root, "b", {"w.dat": noise("w", 900)}), key, root / "out")


@pytest.fixture
def pair(tmp_path: Path, bundle: Path, key: Key) -> Pair:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        copied(bundle, tmp_path / name).rename(tmp_path / name / "b")
    trust = Trust.from_key_file(key.public.read_text(), "release.pub")
    return Pair(tmp_path / "one/b", tmp_path / "two/b", trust)


@contextmanager
def opened(pair: Pair, *places: Path) -> Iterator[Bundle]:
    with Media([str(place) for place in places or (pair.one, pair.two)]) as media:
        yield open_bundle(media, pair.trust, datetime.now(UTC))


def test_a_chunk_is_taken_from_the_copy_that_is_good_and_the_bad_one_is_noted(pair):
    flip(pair.one / PACK, at=3)

    with opened(pair) as bundle:
        assert bundle.read_chunk(0)
        (bad,) = bundle.bad_copies

    assert (bad.file.place, bad.number) == (str(pair.one), 0)


def test_two_bad_copies_are_refused_in_the_words_of_the_first(pair):
    flip(pair.one / PACK, at=3)
    flip(pair.two / PACK, at=4)

    with opened(pair) as bundle, pytest.raises(DigestMismatchError) as caught:
        bundle.read_chunk(0)

    assert str(pair.one / PACK) in caught.value.message


def test_a_spare_gives_what_no_medium_has_and_is_hashed_like_one(pair):
    with opened(pair) as bundle:
        whole = bytearray(bundle.index.chunks[0].stored_size)
        bundle.read_stored(0, memoryview(whole))
    (pair.one / PACK).unlink()
    good, wrong = Lender(bytes(whole)), Lender(bytes(len(whole)))

    with opened(pair, pair.one) as bundle:
        assert not bundle.is_at_hand(0)
        mended = replace(bundle, spares=(wrong, good))
        assert mended.is_at_hand(0)
        assert mended.read_chunk(0)
        with pytest.raises(PayloadError, match="missing"):
            replace(bundle, spares=(wrong,)).read_chunk(0)


class Lender:
    """Has the same bytes for every chunk."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def holds(self, number: int) -> bool:
        return True

    def read_stored(self, number: int, target: memoryview) -> bool:
        target[:] = self._data
        return True


@pytest.mark.parametrize("name", ["manifest.json", "index.json", "INSTALL.md"])
def test_a_small_file_is_taken_from_the_copy_that_is_good(pair, name):
    flip(pair.one / name)

    with opened(pair) as bundle:
        assert bundle.document(name) == (pair.two / name).read_bytes()


@pytest.mark.parametrize("name", ["SHA256SUMS", SIGNATURE])
def test_a_damaged_root_or_signature_is_set_aside_when_another_verifies(pair, name):
    flip(pair.one / name)

    with opened(pair) as bundle:
        assert bundle.accepted
        assert any(str(pair.one) in doubt for doubt in bundle.doubts)

    with pytest.raises(SignatureError), opened(pair, pair.one):
        pass


def test_a_root_that_nobody_trusted_signed_does_not_count_beside_one_that_is(
    pair, tmp_path
):
    stranger = a_key(tmp_path / "stranger")
    other = build(weights_spec(tmp_path / "s", "b"), stranger, tmp_path / "out")

    with opened(pair, other, pair.one) as bundle:
        assert [one.key.comment for one in bundle.accepted] != []
        assert bundle.doubts == (f"{other}/SHA256SUMS does not verify",)
        assert bundle.read_chunk(0)

    with pytest.raises(UntrustedKeyError), opened(pair, other):
        pass


def test_media_of_two_bundles_that_both_verify_are_not_mixed(pair, key, tmp_path):
    other = build(weights_spec(tmp_path / "o", "o"), key, tmp_path / "out")

    with (
        pytest.raises(PayloadError, match="different bundles"),
        opened(pair, pair.one, other),
    ):
        pass
