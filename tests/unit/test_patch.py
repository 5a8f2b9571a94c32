"""What a request may ask for, what a patch may bring, and what is refused of both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import making
import pytest
from making import Key, a_key, build, copied, flip, noise, weights_spec
from patch_making import FILES, PACK, Shop, a_request, opened
from sealift_manifests.errors import (
    DigestMismatchError,
    FormatVersionError,
    ManifestError,
    OutputError,
    PayloadError,
    SealiftError,
    SignatureError,
    UntrustedKeyError,
)
from sealift_manifests.media import Media
from sealift_manifests.repair import (
    RepairRequest,
    dump,
    parse_request,
)
from sealift_manifests.verify import measure


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Shop:
    root = tmp_path_factory.mktemp("patch")
    bundle = build(weights_spec(root, "b", FILES), key, root / "out")
    return Shop(bundle, key, a_key(root / "stranger"))


@pytest.fixture
def medium(shop: Shop, tmp_path: Path) -> Path:
    """A copy of the bundle of which nothing but the small files is left."""
    (tmp_path / "usb").mkdir()
    medium = copied(shop.good, tmp_path / "usb")
    (medium / PACK).unlink()
    return medium


@pytest.fixture(scope="module")
def request_of_all(shop: Shop) -> RepairRequest:
    with opened(shop, shop.good) as bundle:
        return a_request(bundle, range(len(bundle.index.chunks)))


def unseen(size: int) -> None:
    """Take the progress, and show it to nobody."""


# Requests


def test_a_request_is_read_back_as_it_was_written(request_of_all):
    request = replace(request_of_all, chunks=((0, 2), (5, 9)), files=("a", "b"))

    assert parse_request(dump(request), "r") == request
    assert list(request.numbers()) == [0, 1, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "changes",
    [
        {"chunks": [[0, 0]]},
        {"chunks": [[3, 2]]},
        {"chunks": [[0, 2], [2, 3]]},
        {"chunks": [[4, 5], [0, 1]]},
        {"chunks": [[-1, 1]]},
        {"chunks": [[0, 1, 2]]},
        {"chunks": [], "files": []},
        {"files": ["../../etc/shadow"]},
        {"files": ["SHA256SUMS"]},
        {"files": ["data-0001.pack"]},
        {"files": ["b", "a"]},
        {"files": ["a", "A"]},
        {"root": "sha256:0"},
        {"name": "../b"},
        {"type": "sealift-patch"},
        {"also": 1},
    ],
)
def test_a_request_that_does_not_have_its_shape_is_refused(request_of_all, changes):
    value = {**json.loads(dump(request_of_all)), **changes}

    with pytest.raises(ManifestError):
        parse_request(json.dumps(value).encode(), "r")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"chunks": [[0, 2**40]]}, PayloadError),
        ({"files": ["secret"]}, PayloadError),
        ({"root": "sha256:" + "0" * 64}, PayloadError),
        ({"format": 2}, FormatVersionError),
        ({"features": ["new"]}, FormatVersionError),
    ],
)
def test_what_the_bundle_has_not_is_not_given(
    shop, request_of_all, tmp_path, changes, kind
):
    value = {**json.loads(dump(request_of_all)), **changes}

    with pytest.raises(kind):
        shop.patch_for(tmp_path, json.dumps(value).encode())

    assert not list(tmp_path.glob("patches/*"))


def test_a_bundle_that_is_damaged_as_well_makes_no_patch(
    shop, medium, request_of_all, tmp_path
):
    with pytest.raises(PayloadError, match="missing"):
        shop.patch(tmp_path, request_of_all, places=[str(medium)])

    assert list((tmp_path / "patches").iterdir()) == []


def test_a_patch_is_not_written_over(shop, request_of_all, tmp_path):
    shop.patch(tmp_path, request_of_all)

    with pytest.raises(OutputError, match="exists already"):
        shop.patch(tmp_path, request_of_all)


# Patches


def test_a_patch_gives_every_chunk_that_was_asked_for(
    shop, medium, request_of_all, tmp_path
):
    patch = shop.patch(tmp_path, request_of_all)

    with opened(shop, medium, patch) as bundle:
        found = measure(bundle, unseen)
        assert all(map(bundle.is_at_hand, range(len(bundle.index.chunks))))

    assert (found.lacks, found.mended) == ((), len(FILES))
    assert found.media[1].patched == len(FILES)


def test_several_patches_mend_together(shop, medium, tmp_path):
    with opened(shop, shop.good) as bundle:
        requests = [a_request(bundle, numbers) for numbers in ([0, 2], [1, 3])]
    patches = [
        shop.patch(tmp_path / str(n), request) for n, request in enumerate(requests)
    ]

    with opened(shop, *patches, medium) as bundle:
        assert measure(bundle, unseen).lacks == ()
        for digest in bundle.index.contents:
            assert b"".join(map(bytes, bundle.read_content(digest))) in FILES.values()
    with opened(shop, patches[0], medium) as bundle:
        (lack,) = measure(bundle, unseen).lacks
        assert lack.name == PACK


@pytest.mark.parametrize("name", ["manifest.json", "index.json", "INSTALL.md"])
def test_a_patch_brings_small_files_too(shop, medium, tmp_path, name):
    with opened(shop, shop.good) as bundle:
        request = a_request(bundle, [0], name)
    patch = shop.patch(tmp_path, request)
    flip(medium / name)

    with opened(shop, medium, patch) as bundle:
        assert bundle.document(name) == (shop.good / name).read_bytes()


def test_a_file_that_only_calls_itself_a_patch_does_not_make_one_of_a_bundle(
    shop, tmp_path
):
    medium = copied(shop.good, tmp_path)
    making.write_files(medium, {"patch.json": json.dumps({"type": "sealift-patch"})})

    with opened(shop, medium) as bundle:
        assert bundle.patches == ()
        assert bundle.unlisted == ("patch.json",)


def test_a_signer_cannot_change_the_bundle_through_a_patch(
    shop, medium, request_of_all, tmp_path
):
    patch = shop.patch(tmp_path, request_of_all)
    pack = patch / "patch-0001.pack"
    pack.write_bytes(noise("other weights", pack.stat().st_size))
    making.resign(patch, shop.key)

    with opened(shop, medium, patch) as bundle:
        with pytest.raises(SealiftError):
            bundle.read_chunk(0)
        found = measure(bundle, unseen)

    assert [lack.name for lack in found.lacks] == [PACK]
    assert found.bad_places == (str(patch),)


def test_a_patch_that_lost_its_pack_gives_nothing_and_says_so(
    shop, medium, request_of_all, tmp_path
):
    patch = shop.patch(tmp_path, request_of_all)
    (patch / "patch-0001.pack").unlink()

    with opened(shop, medium, patch) as bundle:
        found = measure(bundle, unseen)

    assert [lack.name for lack in found.lacks] == [PACK]
    assert [d.kind for d in found.media[1].damages] == ["missing"]


Spoil = Callable[[Path, Shop], object]


def lists(change: Callable[[Any], object]) -> Spoil:
    """Return what changes the list of a patch and signs it anew, as its maker could."""

    def apply(patch: Path, shop: Shop) -> None:
        making.changed_json(patch / "patch.json", change)
        making.resign(patch, shop.key)

    return apply


def chunk(number: int, **changes: int) -> Spoil:
    return lists(lambda listed: listed["chunks"][number].update(changes))


def one_more_file(patch: Path, shop: Shop) -> None:
    making.write_files(patch, {"run-me.sh": "rm -rf /"})
    making.resign(patch, shop.key)


def links(patch: Path, shop: Shop) -> None:
    (patch / "patch.json").rename(patch.parent / "kept")
    (patch / "patch.json").symlink_to(patch.parent / "kept")


def not_signed(patch: Path, shop: Shop) -> None:
    (patch / "SHA256SUMS.release.sig").unlink()


REFUSED: dict[str, tuple[Spoil, type[SealiftError], str]] = {
    "signed by a stranger": (
        lambda patch, shop: making.resign(patch, shop.stranger),
        UntrustedKeyError,
        "the patch was not signed by a key",
    ),
    "not signed": (not_signed, SignatureError, "no signature file"),
    "a broken signature": (
        lambda patch, shop: flip(patch / "SHA256SUMS.release.sig"),
        SignatureError,
        "the patch",
    ),
    "a flipped bit in its list": (
        lambda patch, shop: flip(patch / "patch.json"),
        DigestMismatchError,
        "not what was signed",
    ),
    "a link for its list": (links, PayloadError, "patch.json is missing"),
    "a file not in its list": (one_more_file, ManifestError, "different files"),
    "another root": (
        lists(lambda listed: listed.update(root="sha256:" + "0" * 64)),
        PayloadError,
        "000000000000",
    ),
    "another format": (
        lists(lambda listed: listed.update(format=2)),
        FormatVersionError,
        "format 2",
    ),
    "an unknown field": (
        lists(lambda listed: listed.update(x=1)),
        ManifestError,
        "unknown field",
    ),
    "no patch by type": (
        lists(lambda listed: listed.update(type="x")),
        ManifestError,
        "sealift-patch belongs",
    ),
    "overlapping chunks": (chunk(1, offset=5), ManifestError, "does not lie where"),
    "a chunk too large": (chunk(0, size=9 << 20), ManifestError, "of 9437184 bytes"),
    "chunks out of order": (
        lists(lambda listed: listed["chunks"].reverse()),
        ManifestError,
        "do not rise",
    ),
    "no such chunk": (chunk(3, chunk=9**9), ManifestError, "which the bundle has not"),
    "the place of another": (chunk(3, chunk=4), ManifestError, "the bundle has not"),
    "a chunk twice": (chunk(1, chunk=0), ManifestError, "do not rise"),
    "no such pack": (chunk(3, pack=1), ManifestError, "not named"),
    "a pack too long": (
        lists(lambda listed: listed["packs"][0].update(size=9000)),
        ManifestError,
        "not filled",
    ),
    "a path for a pack": (
        lists(lambda listed: listed["packs"][0].update(name="../x.pack")),
        ManifestError,
        "no name of a file",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_patch_that_cannot_be_trusted_is_refused_and_named(
    shop, medium, request_of_all, tmp_path, case
):
    spoil, kind, words = REFUSED[case]
    patch = shop.patch(tmp_path, request_of_all)
    spoil(patch, shop)

    with pytest.raises(kind) as caught, opened(shop, medium, patch):
        pass

    assert words in caught.value.message
    assert str(patch) in caught.value.message


def test_a_chunk_under_another_number_is_refused_by_its_size(shop, medium, tmp_path):
    with opened(shop, shop.good) as bundle:
        request = a_request(bundle, [0])
    patch = shop.patch(tmp_path, request)
    chunk(0, chunk=1)(patch, shop)

    with (
        pytest.raises(ManifestError, match="a chunk 1 of 1000 bytes"),
        opened(shop, medium, patch),
    ):
        pass


def test_a_patch_is_never_taken_for_a_bundle(shop, request_of_all, tmp_path):
    patch = shop.patch(tmp_path, request_of_all)

    with pytest.raises(PayloadError, match="holds a patch, and no bundle"):
        Media([str(patch)])

    # In a tar it is not looked for: there it is no patch, and no bundle either.
    tar = shutil.make_archive(str(tmp_path / "p"), "tar", patch)
    with pytest.raises(SealiftError), opened(shop, Path(tar)):
        pass
