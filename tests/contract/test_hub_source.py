"""The Hub source against the real Hub client and a Hub on loopback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hub_models import (
    REAL,
    TINY,
    TINY_FILES,
    TOKEN,
    WEIGHTS,
    check,
    fetched,
    file_of,
    resolved,
)
from hubserver import HubServer
from sealift_bundler.models import hub
from sealift_bundler.models.content_policy import check_content
from sealift_bundler.models.facts import model_facts
from sealift_bundler.models.files import ModelFile
from sealift_bundler.models.hub import (
    HubFile,
    HubRevision,
    resolve_revision,
    select,
    snapshot,
)
from sealift_bundler.models.local import scan_directory
from sealift_manifests.errors import (
    SpecError,
)

pytestmark = pytest.mark.usefixtures("no_hub_settings")


def test_a_real_model_is_resolved_fetched_and_found_to_be_what_its_commit_names(
    real_hub: HubServer, hub_model_dir: Path, tmp_path: Path
):
    counts: list[int] = []

    revision = resolved(real_hub, REAL)
    paths = fetched(real_hub, revision, tmp_path, counts)

    assert revision.commit == real_hub.commit_of(REAL)
    assert list(paths) == [file.path for file in revision.files] == sorted(paths)
    for file in revision.files:
        assert not paths[file.path].is_symlink()
        assert paths[file.path].read_bytes() == (hub_model_dir / file.path).read_bytes()
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


def test_a_commit_stays_what_it_was_when_main_moves_on(
    tiny_hub: HubServer, tmp_path: Path
):
    revision = resolved(tiny_hub)
    tiny_hub.commit(TINY, {"config.json": b"{}"})

    paths = fetched(tiny_hub, revision, tmp_path, [])

    assert resolved(tiny_hub).commit != revision.commit
    assert paths["config.json"].read_bytes() == TINY_FILES["config.json"]
    assert paths["model.safetensors"].read_bytes() == WEIGHTS


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


def test_the_front_door_offers_what_it_says():
    assert all(hasattr(hub, name) for name in hub.__all__)
