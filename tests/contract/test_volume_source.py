"""A volume of a real engine as a source: read where it lies, or from the engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import hosts
import making
import pytest
from engines import SHELL, busybox_layer, unique
from making import Key
from sealift_bundler.buffers import Buffers
from sealift_bundler.engine.client import open_engine
from sealift_bundler.volumes.archive import ArchiveReader
from sealift_bundler.volumes.directory import DirectoryReader
from sealift_bundler.volumes.engine import export_volume, inspect_volume
from sealift_bundler.volumes.found import Reader, entry_items
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import SourceContentError
from sealift_manifests.volume_entries import VolumeItem
from volume_making import a_volume

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="owners are given by root"),
]


@pytest.fixture
def volume(engine: hosts.Engine) -> Iterator[str]:
    """A volume in the engine with all that one may hold, by its name."""
    name = unique()
    engine.run("volume", "create", name)
    a_volume(place_of(engine, name))
    yield name
    making.clear_engine(engine, name)


def place_of(engine: hosts.Engine, name: str) -> Path:
    return Path(engine.text("volume", "inspect", "-f", "{{.Mountpoint}}", name))


def items_of(made: Reader) -> tuple[VolumeItem, ...]:
    digests = {}

    def take(path, pieces):
        digests[path] = digest_of(b"".join(bytes(data) for data, _ in pieces))

    scan = made.scan()
    made.read(scan, take)
    return tuple(entry_items(scan, digests))


@contextmanager
def through_engine(name: str) -> Iterator[ArchiveReader]:
    with open_engine() as client:
        yield ArchiveReader("store", lambda: export_volume(client, name), Buffers())


def a_spec(folder: Path, volume: str, **more: object) -> Path:
    return making.a_spec(folder, "acme", volumes={"store": {"volume": volume, **more}})


def build(spec: Path, key: Key) -> making.Outcome:
    return making.sealift(
        *("build", spec, "-q", "--sign-key", key.private, "-o", spec.parent / "out")
    )


def test_the_engine_gives_just_what_lies_in_its_directory(volume, engine):
    with open_engine() as client:
        place = inspect_volume(client, volume).place
    assert place == place_of(engine, volume)

    with through_engine(volume) as made:
        given = items_of(made)

    assert given == items_of(DirectoryReader("store", place, Buffers()))
    assert {item.kind for item in given} == {"directory", "file", "link", "hardlink"}
    left = engine.text("ps", "-aq", "--filter", "name=sealift-read").split()
    assert not left and "sealift-empty" not in engine.text("images")


def test_a_file_that_changes_between_the_two_streams_is_refused(volume, engine):
    with through_engine(volume) as made:
        scan = made.scan()
        (place_of(engine, volume) / "raft/log").write_text("newer")

        with pytest.raises(SourceContentError, match="raft/log changed"):
            made.read(scan, lambda path, pieces: list(pieces))


def test_pipes_and_devices_are_refused_by_name(volume, engine):
    os.mkfifo(place_of(engine, volume) / "pipe")
    os.mknod(place_of(engine, volume) / "null", 0o20666, os.makedev(1, 3))

    with through_engine(volume) as made, pytest.raises(SourceContentError) as caught:
        made.scan()

    assert "null: is a device" in caught.value.message
    assert "pipe: is a named pipe" in caught.value.message


def test_a_volume_that_a_container_writes_to_is_not_copied_unless_said(
    volume, engine, key, tmp_path
):
    image, writer = f"{volume}:1", f"{volume}-db"
    engine.run("import", "-", image, stdin=busybox_layer())
    script = [SHELL, "sleep", "3600"]
    engine.run(*("run", "-d", "--name", writer, "-v", f"{volume}:/db", image, *script))

    refused = build(a_spec(tmp_path, volume), key)
    allowed = build(a_spec(tmp_path, volume, allow=["running"]), key)
    engine.run("rm", "-f", writer)
    reader = f"{volume}-reader"
    engine.run(
        *("run", "-d", "--name", reader, "-v", f"{volume}:/db:ro", image, *script)
    )
    making.write_files(tmp_path / "again", {})
    readable = build(a_spec(tmp_path / "again", volume), key)

    refused.expect(46, writer, f"docker stop {writer}", "allow: [running]")
    allowed.expect(0)
    readable.expect(0)


def test_a_volume_that_is_not_there_is_named_beside_those_that_are(
    volume, key, tmp_path
):
    failed = build(a_spec(tmp_path, f"{volume}-other"), key)

    failed.expect(21, f"no volume {volume}-other", volume)


def test_a_secret_in_the_data_stops_the_build_unless_it_is_none(
    volume, engine, key, tmp_path
):
    token = "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4h"
    (place_of(engine, volume) / "raft/.env").write_text(f"A={token}")

    refused = build(a_spec(tmp_path, volume), key)
    allowed = build(a_spec(tmp_path, volume, not_secret=["raft/*"]), key)

    refused.expect(25, "volume store", "raft/.env, line 1: hugging-face-token")
    assert token not in refused.said
    allowed.expect(0)


def test_a_volume_with_a_place_of_its_own_is_read_through_the_engine(engine, tmp_path):
    name = unique()
    place = a_volume(tmp_path / "elsewhere")
    options = {"type": "none", "o": "bind", "device": str(place)}
    client = docker.from_env()
    made = client.volumes.create(name, driver="local", driver_opts=options)
    try:
        assert inspect_volume(client, name).place is None
        with through_engine(name) as reader:
            assert items_of(reader) == items_of(
                DirectoryReader("store", place, Buffers())
            )
    finally:
        made.remove()
        client.close()
