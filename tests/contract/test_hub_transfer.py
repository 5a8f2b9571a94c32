"""Fetches from a Hub that are cut, killed, repeated or answered wrongly."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from hub_models import (
    REAL,
    TINY,
    TINY_FILES,
    WEIGHTS,
    check,
    fetched,
    file_of,
    resolved,
)
from hubserver import HubServer
from huggingface_hub import constants
from sealift_bundler.models.hub import (
    HubFile,
    expected_check,
    forget,
    snapshot,
)
from sealift_manifests.errors import SourceContentError

pytestmark = pytest.mark.usefixtures("no_hub_settings")


def test_what_is_there_is_not_asked_for_again(tiny_hub: HubServer, tmp_path: Path):
    revision = resolved(tiny_hub)
    first = fetched(tiny_hub, revision, tmp_path, [])
    before = len(tiny_hub.requests)
    counts: list[int] = []

    second = fetched(tiny_hub, revision, tmp_path, counts)

    assert second == first
    assert len(tiny_hub.requests) == before
    assert sum(counts) == sum(file.size for file in revision.files)


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_wrong_bytes_of_the_right_size_are_caught_and_the_next_run_heals(
    tiny_hub: HubServer, tmp_path: Path, path: str
):
    revision = resolved(tiny_hub)
    tiny_hub.wrong_bytes.add(path)
    bad = fetched(tiny_hub, revision, tmp_path, [])[path]

    with pytest.raises(SourceContentError) as caught:
        check(revision, file_of(revision, path), bad)

    for part in (TINY, revision.commit, path):
        assert part in caught.value.message
    assert "removed" in caught.value.hint
    assert not bad.exists()
    tiny_hub.wrong_bytes.clear()
    healed = fetched(tiny_hub, revision, tmp_path, [])[path]
    check(revision, file_of(revision, path), healed)


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_bytes_missing_at_the_end_are_caught(
    tiny_hub: HubServer, tmp_path: Path, path: str
):
    revision = resolved(tiny_hub)
    checking = expected_check(revision, file_of(revision, path), tmp_path / "none")

    checking.update(TINY_FILES[path][:-1])

    with pytest.raises(SourceContentError):
        checking.finish()


def test_a_cut_connection_is_continued_where_the_client_had_written(
    real_hub: HubServer, tmp_path: Path
):
    revision = resolved(real_hub, REAL)
    weights = file_of(revision, "model.safetensors")
    real_hub.cut_after[weights.path] = 35_000_000
    counts: list[int] = []
    before = len(real_hub.requests)

    path = snapshot(
        revision, [weights], tmp_path, counts.append, endpoint=real_hub.endpoint
    )[weights.path]

    first, second = [
        request.headers.get("range", "")
        for request in real_hub.requests[before:]
        if request.method == "GET"
    ]
    assert first == ""
    # The client writes, and so continues, in steps of 10 MiB.
    assert second == f"bytes={3 * constants.DOWNLOAD_CHUNK_SIZE}-"
    check(revision, weights, path)
    assert sum(counts) == weights.size


def test_a_cached_file_that_lost_its_end_is_fetched_again(
    tiny_hub: HubServer, tmp_path: Path
):
    revision = resolved(tiny_hub)
    path = fetched(tiny_hub, revision, tmp_path, [])["model.safetensors"]
    os.truncate(path, 1000)
    counts: list[int] = []

    again = fetched(tiny_hub, revision, tmp_path, counts)["model.safetensors"]

    assert again.read_bytes() == WEIGHTS
    assert sum(counts) == sum(file.size for file in revision.files)


def test_a_file_whose_size_is_not_the_listed_one_is_refused(
    tiny_hub: HubServer, tmp_path: Path
):
    revision = resolved(tiny_hub)
    file = file_of(revision, "model.safetensors")
    lying = HubFile(file.path, file.size + 1, sha256=file.sha256)

    with pytest.raises(SourceContentError, match=r"model\.safetensors.*another size"):
        snapshot(
            revision, [lying], tmp_path, lambda _: None, endpoint=tiny_hub.endpoint
        )

    assert not list(tmp_path.glob("*/blobs/*"))


def test_the_remains_of_a_killed_run_are_removed_unless_another_run_writes_them(
    tiny_hub: HubServer, tmp_path: Path
):
    revision = resolved(tiny_hub)
    folder = tmp_path / "models--acme--tiny"
    (folder / "blobs").mkdir(parents=True)
    locks = tmp_path / ".locks" / folder.name
    locks.mkdir(parents=True)
    for name in ("orphan", "released", "held"):
        (folder / "blobs" / f"{name}.1234abcd.incomplete").write_bytes(b"half")
    (locks / "released.lock").touch()

    with (locks / "held.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        fetched(tiny_hub, revision, tmp_path, [])

    left = [path.name for path in folder.glob("blobs/*.incomplete")]
    assert left == ["held.1234abcd.incomplete"]


KILLED_WHILE_FETCHING = """
import sys, time, pathlib
from sealift_bundler.models.hub import resolve_revision, snapshot
def progress(size):
    if size > 1 << 20:
        print("in it", flush=True)
        time.sleep(60)
endpoint, repo, cache = sys.argv[1:]
revision = resolve_revision(repo, "main", endpoint=endpoint)
snapshot(revision, revision.files, pathlib.Path(cache), progress, endpoint=endpoint)
"""


def test_a_killed_run_is_finished_by_the_next_without_fetching_whole_files_again(
    real_hub: HubServer, tmp_path: Path
):
    revision = resolved(real_hub, REAL)
    fetched_before = [f for f in revision.files if f.path != "model.safetensors"]
    snapshot(
        revision, fetched_before, tmp_path, lambda _: None, endpoint=real_hub.endpoint
    )
    arguments = [real_hub.endpoint, REAL, str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_FETCHING, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"in it\n"
        run.kill()
    assert list(tmp_path.rglob("*.incomplete"))
    before = len(real_hub.requests)

    paths = fetched(real_hub, revision, tmp_path, [])

    asked = {request.path for request in real_hub.requests[before:]}
    assert all(path.endswith("/model.safetensors") for path in asked)
    check(revision, file_of(revision, "model.safetensors"), paths["model.safetensors"])
    assert not list(tmp_path.rglob("*.incomplete"))


def test_a_forgotten_file_is_fetched_again(tiny_hub: HubServer, tmp_path: Path):
    revision = resolved(tiny_hub)
    path = fetched(tiny_hub, revision, tmp_path, [])["config.json"]

    forget(path)
    forget(path)

    assert fetched(tiny_hub, revision, tmp_path, [])["config.json"].exists()
    assert len(tiny_hub.requests_for("config.json")) == 2


def test_the_client_neither_prints_nor_logs_the_addresses_it_retries(
    tiny_hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    records: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = records.append  # type: ignore[method-assign]
    client = logging.getLogger("huggingface_hub")
    client.addHandler(listener)
    revision = resolved(tiny_hub)
    tiny_hub.cut_after["model.safetensors"] = 10

    fetched(tiny_hub, revision, tmp_path, [])

    client.removeHandler(listener)
    assert capfd.readouterr() == ("", "")
    assert records == []
    assert len(tiny_hub.requests_for("model.safetensors")) > 1


def test_progress_is_called_by_one_thread_at_a_time(
    tiny_hub: HubServer, tmp_path: Path
):
    inside: list[int] = []
    most: list[int] = []

    def progress(size: int) -> None:
        inside.append(size)
        time.sleep(0.002)
        most.append(len(inside))
        inside.pop()

    revision = resolved(tiny_hub)
    snapshot(revision, revision.files, tmp_path, progress, endpoint=tiny_hub.endpoint)

    assert set(most) == {1}


def test_the_files_in_work_are_told(tiny_hub: HubServer, tmp_path: Path):
    revision = resolved(tiny_hub)
    begun: list[str] = []

    snapshot(
        revision,
        revision.files,
        tmp_path,
        lambda size: None,
        endpoint=tiny_hub.endpoint,
        item=lambda name: nullcontext(begun.append(name)),
    )

    assert sorted(begun) == sorted(file.path for file in revision.files)
