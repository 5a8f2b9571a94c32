"""The tar that fills a volume, and the verdict on what an engine gives back of it."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import pytest
from sealift_installer.data_archive import (
    data_archive,
    differences,
    expected,
    header,
    listing_of,
)
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import DigestMismatchError, EngineError
from sealift_manifests.volume_entries import VolumeEntry, VolumeItem, VolumeSource

LONG = "d" * 200
DATA = {"a": b"one", f"{LONG}/ümlaut": b"two" * 9999, "empty": b""}
ROOT = VolumeItem(".", "directory", 0o2770, 1000, 2000, 77)


def a_file(path: str, **changes) -> VolumeItem:
    data = DATA[path]
    item = VolumeItem(path, "file", 0o640, 5, 6, 7, len(data), digest_of(data))
    return replace(item, **changes)


def a_volume(*more: VolumeItem) -> VolumeEntry:
    items = [ROOT, VolumeItem(LONG, "directory"), *map(a_file, DATA), *more]
    items[1:] = sorted(items[1:], key=lambda item: item.path)
    return VolumeEntry("store", VolumeSource("path"), tuple(items))


LINKS = (
    VolumeItem("link", "link", uid=3, mtime=9, target="/nowhere"),
    VolumeItem("again", "hardlink", target="a"),
)


def read(digest):
    data = next(data for data in DATA.values() if digest_of(data) == digest)
    yield from (data[at : at + 1000] for at in range(0, len(data), 1000))


def archived(volume: VolumeEntry, read=read) -> bytes:
    return b"".join(map(bytes, data_archive(volume, read, lambda digest: 0)))


def listed(data: bytes):
    return listing_of(io.BytesIO(data), lambda size: None)


def test_the_tar_says_of_each_name_what_the_manifest_says():
    with tarfile.open(fileobj=io.BytesIO(archived(a_volume(*LINKS)))) as tar:
        members = {member.name: member for member in tar}

    root, again = members["data"], members["data/again"]
    assert (root.mode, root.uid, root.gid, root.mtime) == (0o2770, 1000, 2000, 77)
    assert again.islnk() and again.linkname == "data/a"
    # What a hard link says is given to its file: it must not be nothing.
    assert (again.mode, again.uid, again.mtime) == (0o640, 5, 7)
    assert members["data/link"].linkname == "/nowhere"
    assert members[f"data/{LONG}/ümlaut"].size == 3 * 9999


def test_what_comes_back_as_it_went_is_the_volume():
    volume = a_volume(*LINKS)

    assert differences(expected(volume), listed(archived(volume))) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (a_volume(), "link is too much"),
        (a_volume(*LINKS, VolumeItem("more", "directory")), "more is missing"),
        (a_volume(LINKS[0], replace(LINKS[1], target="empty")), "again is not"),
        (a_volume(replace(LINKS[0], target="x"), LINKS[1]), "link is not"),
        (a_volume(replace(LINKS[0], gid=1), LINKS[1]), "link is not"),
    ],
)
def test_every_difference_of_what_came_back_is_named(changed, words):
    found = differences(expected(changed), listed(archived(a_volume(*LINKS))))

    assert any(words in fault for fault in found), found


@pytest.mark.parametrize("change", [{"mode": 0o600}, {"uid": 6}, {"mtime": 8}])
def test_an_owner_mode_or_time_that_was_lost_is_a_difference(change):
    volume = a_volume()
    items = tuple(replace(i, **change) if i.path == "a" else i for i in volume.items)

    found = differences(
        expected(replace(volume, items=items)), listed(archived(volume))
    )

    assert found and found[0].startswith("a is not as it should be")


def test_other_bytes_than_were_signed_end_the_tar_before_its_end():
    def other(digest):
        yield from (bytes(len(piece)) for piece in read(digest))

    with pytest.raises(DigestMismatchError, match="a of volume store"):
        archived(a_volume(), other)


def test_sizes_and_owners_beyond_the_old_tar_are_written():
    item = replace(a_file("a"), size=9 << 30, uid=2**32 - 2)

    data = header(item)

    assert len(data) % 512 == 0
    assert b"size=9663676416\n" in data and b"uid=4294967294\n" in data


def test_an_answer_that_is_no_tar_is_told_as_the_engines():
    with pytest.raises(EngineError, match="no tar"):
        listed(b"x" * 1024)
