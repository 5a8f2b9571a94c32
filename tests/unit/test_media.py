"""Where a bundle may lie, and what is not taken from a medium."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sealift_manifests.errors import PayloadError
from sealift_manifests.media import Media


def a_bundle(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "SHA256SUMS").write_bytes(b"sums\n")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_files_are_found_on_any_medium_and_copies_in_the_order_of_the_media(tmp_path):
    one = a_bundle(tmp_path / "one", a=b"1", both=b"first")
    two = a_bundle(tmp_path / "two", b=b"2", both=b"second")

    with Media([str(one), str(two)]) as media:
        assert media.names() == ("SHA256SUMS", "a", "b", "both")
        assert [file.read_all(9) for file in media.copies("both")] == [
            b"first",
            b"second",
        ]
        assert media.open("both").place == str(one)
        assert media.open("b").read_all(9) == b"2"


def test_the_one_bundle_in_a_folder_is_found_and_two_are_not_chosen_from(tmp_path):
    a_bundle(tmp_path / "usb/one", a=b"1")

    with Media([str(tmp_path / "usb")]) as media:
        assert media.copies("a")

    a_bundle(tmp_path / "usb/two")
    with pytest.raises(PayloadError, match="several bundles"):
        Media([str(tmp_path / "usb")])


def test_links_pipes_and_folders_are_no_files_of_a_bundle(tmp_path):
    folder = a_bundle(tmp_path / "b", real=b"x")
    (folder / "link").symlink_to(folder / "real")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")

    with Media([str(folder)]) as media:
        assert media.names() == ("SHA256SUMS", "real")


def test_litter_is_noted_by_its_kind_whatever_else_its_name_says(tmp_path):
    folder = a_bundle(tmp_path / "b", real=b"x")
    (folder / "._real\n\x1b[2J").write_bytes(b"")
    (folder / "THUMBS.DB").write_bytes(b"listed or not is for the bundle to know")
    (folder / "$RECYCLE.BIN").mkdir()

    with Media([str(folder)]) as media:
        assert media.litter() == ("$RECYCLE.BIN", "._*", "Thumbs.db")
        assert media.names() == ("SHA256SUMS", "THUMBS.DB", "real")


def test_a_pipe_in_the_place_of_a_tar_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "b.tar")

    with pytest.raises(PayloadError, match="not a regular file"):
        Media([str(tmp_path / "b.tar")])


def test_a_file_that_is_missing_says_where_it_was_looked_for(tmp_path):
    folder = a_bundle(tmp_path / "b")

    with Media([str(folder)]) as media, pytest.raises(PayloadError) as caught:
        media.open("data-0007.pack")

    assert "data-0007.pack" in caught.value.message
    assert str(folder) in caught.value.message


def test_reading_is_exact_and_limited(tmp_path):
    folder = a_bundle(tmp_path / "b", a=b"0123456789")

    with Media([str(folder)]) as media:
        assert media.open("a").read_at(3, 4) == b"3456"
        with pytest.raises(PayloadError, match="ends at byte 10"):
            media.open("a").read_at(8, 4)
        with pytest.raises(PayloadError, match="at most 9"):
            media.open("a").read_all(9)


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PayloadError, match="nowhere"):
        Media([str(tmp_path / "nowhere")])


def test_no_file_stays_open(tmp_path):
    folder = a_bundle(tmp_path / "b", a=b"x")
    before = os.listdir("/proc/self/fd")

    with Media([str(folder)]) as media:
        media.open("a")
        assert len(os.listdir("/proc/self/fd")) > len(before)

    assert os.listdir("/proc/self/fd") == before
