"""A directory as a volume: what is read of it, and what stops a build."""

from __future__ import annotations

import os
import socket

import pytest
from sealift_bundler.buffers import Buffers
from sealift_bundler.leaks.rules import Leak
from sealift_bundler.volumes.directory import DirectoryReader
from sealift_bundler.volumes.found import entry_items
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import SourceContentError
from volume_making import BIG, THEN, a_volume


def reader(root, **options):
    return DirectoryReader("store", root, Buffers(), **options)


def taken(scan, made):
    """Return the bytes of each file as a packer would be given them."""
    found = {}

    def take(path, pieces):
        found[path] = b"".join(bytes(data) for data, _ in pieces)

    made.read(scan, take)
    return found


def items_of(root):
    made = reader(root)
    scan = made.scan()
    digests = {path: digest_of(data) for path, data in taken(scan, made).items()}
    return {item.path: item for item in entry_items(scan, digests)}


def test_owners_modes_times_links_and_empty_directories_are_taken(tmp_path):
    is_root = os.geteuid() == 0
    items = items_of(a_volume(tmp_path / "data", owned=is_root))

    assert list(items) == [".", *sorted(items.keys() - {"."})]
    assert items["."].mode == 0o2770
    assert items["readme"].target == "collections/docs/again"
    first = items["collections/docs/again"]
    assert (first.kind, first.mode, first.mtime) == ("file", 0o4750, THEN)
    assert items["snapshots"].kind == "directory"
    assert items["snapshots"].mode == 0o1777
    assert items["outside"].target == "/etc/hostname"
    assert items["collections/docs/segment"].digest == digest_of(BIG)
    assert items["collections/docs/empty"].digest == digest_of(b"")
    if is_root:
        log = items["raft/log"]
        assert (log.uid, log.gid, log.mode) == (4_000_000, 70_000, 0o640)


def test_sockets_pipes_and_names_without_text_are_all_refused_by_name(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "new\nline").write_text("x")
    open(os.fsencode(tmp_path) + b"/\xff", "w").close()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))

        with pytest.raises(SourceContentError) as caught:
            reader(tmp_path).scan()

    for words in ("pipe: is a named pipe", "sock: is a socket", "\\n", "\\udcff"):
        assert words in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a").write_text("other!"),
        lambda root: (root / "a").unlink(),
        lambda root: (root / "b").write_text("new"),
        lambda root: (root / "a").chmod(0o600),
    ],
    ids=["written", "removed", "added", "mode"],
)
def test_data_that_changes_while_it_is_read_is_refused(tmp_path, change):
    (tmp_path / "a").write_text("one")
    made = reader(tmp_path)
    scan = made.scan()

    change(tmp_path)

    with pytest.raises(SourceContentError, match="changed while it was read"):
        taken(scan, made)


def test_a_live_volume_is_taken_as_far_as_it_was_when_it_was_looked_at(tmp_path):
    (tmp_path / "log").write_text("one")
    made = reader(tmp_path, is_live=True)
    scan = made.scan()

    (tmp_path / "log").open("a").write(" two")
    (tmp_path / "more").write_text("x")

    assert taken(scan, made) == {"log": b"one"}


@pytest.mark.parametrize("is_live", [True, False])
def test_a_name_that_goes_while_it_is_listed_is_missed_only_where_that_may_be(
    tmp_path, monkeypatch, is_live
):
    (tmp_path / "kept").write_text("one")
    (tmp_path / "temporary").write_text("two")
    listed = os.listdir

    def listing(folder):
        names = listed(folder)
        (tmp_path / "temporary").unlink(missing_ok=True)
        return names

    monkeypatch.setattr(os, "listdir", listing)
    made = reader(tmp_path, is_live=is_live)

    if is_live:
        assert [item.path for item in made.scan().items] == [".", "kept"]
    else:
        with pytest.raises(SourceContentError, match="temporary changed"):
            made.scan()


def test_a_link_put_in_the_place_of_a_file_is_never_followed(tmp_path):
    (tmp_path / "a").write_text("one")
    made = reader(tmp_path, is_live=True)
    scan = made.scan()
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to("/etc/passwd")

    with pytest.raises(SourceContentError, match="a changed while it was read"):
        taken(scan, made)


def test_what_looks_like_a_secret_is_found_in_data_too(tmp_path):
    token = "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4h"
    (tmp_path / "config.env").write_text(f"first\nTOKEN={token}\n")

    scan = reader(tmp_path).scan()

    assert scan.leaks == {Leak("config.env", 2, "hugging-face-token")}


def test_holes_and_attributes_are_told(tmp_path):
    with (tmp_path / "wal").open("wb") as file:
        file.truncate(32 << 20)

    assert "1 file with holes" in " ".join(reader(tmp_path).scan().notes)


@pytest.fixture
def outside(tmp_path):
    """A directory of the machine, beside the volume."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/x").write_text("root:hash")
    (tmp_path / "data/sub").mkdir(parents=True)
    (tmp_path / "data/sub/x").write_text("x")
    return tmp_path / "etc"


def swap(root, outside):
    (root / "sub").rename(root / "before")
    (root / "sub").symlink_to(outside)


def test_a_directory_that_becomes_a_link_leads_nowhere(tmp_path, outside, monkeypatch):
    root, listed = tmp_path / "data", os.listdir

    def listing(folder):
        names = listed(folder)
        if "sub" in names and not (root / "sub").is_symlink():
            found = iter(names)

            def swapping():
                yield from found
                swap(root, outside)

            return swapping()
        return names

    monkeypatch.setattr(os, "listdir", listing)

    scan = reader(root, is_live=True).scan()

    assert [item.path for item in scan.items] == [".", "sub"]


def test_a_file_behind_a_link_that_came_meanwhile_is_not_read(tmp_path, outside):
    root = tmp_path / "data"
    made = reader(root, is_live=True)
    scan = made.scan()
    swap(root, outside)
    (outside / "x").unlink()
    os.link(root / "before/x", outside / "x")

    with pytest.raises(SourceContentError) as caught:
        taken(scan, made)

    assert "sub/x changed while it was read" in caught.value.message


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path):
    (tmp_path / "a").write_text("x")
    made = reader(tmp_path, is_live=True)
    scan = made.scan()
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")

    with pytest.raises(SourceContentError) as caught:
        taken(scan, made)

    assert "a changed while it was read" in caught.value.message
