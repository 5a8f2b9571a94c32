"""What the user reads when a Hub, its answers or the disk do not do their part."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from hub_models import REAL, TINY, TOKEN, fetched, file_of, resolved
from hubserver import HubServer
from huggingface_hub import constants
from sealift_bundler.models.hub import (
    HubFile,
    resolve_revision,
    snapshot,
)
from sealift_manifests.errors import (
    OutputError,
    RevisionError,
    SealiftError,
    SourceUnreachableError,
    SpecError,
    UsageError,
)

pytestmark = pytest.mark.usefixtures("no_hub_settings")


def _failure(
    server: HubServer, repo: str = TINY, revision: str = "main"
) -> SealiftError:
    with pytest.raises(SealiftError) as caught:
        resolve_revision(repo, revision, endpoint=server.endpoint, token=TOKEN)
    assert TOKEN not in caught.value.message + caught.value.hint
    assert TOKEN not in str(caught.value.__cause__)
    return caught.value


def test_an_unknown_revision_and_repo_are_told_apart(tiny_hub: HubServer):
    unknown_revision = _failure(tiny_hub, revision="v9/x")
    unknown_repo = _failure(tiny_hub, repo="acme/nothing")

    assert isinstance(unknown_revision, RevisionError)
    assert "v9/x" in unknown_revision.message
    assert isinstance(unknown_repo, RevisionError)
    assert "acme/nothing" in unknown_repo.message


def test_a_refused_token_is_answered_with_what_to_set(tiny_hub: HubServer):
    tiny_hub.token = "another"

    refused = _failure(tiny_hub)

    assert isinstance(refused, SourceUnreachableError)
    assert "401" in refused.message
    assert "HF_TOKEN" in refused.hint


def test_a_gated_repo_is_answered_with_the_licence_page(
    tiny_hub: HubServer, tmp_path: Path
):
    tiny_hub.gated.add(TINY)
    revision = resolved(tiny_hub)

    with pytest.raises(SourceUnreachableError) as caught:
        fetched(tiny_hub, revision, tmp_path, [])

    assert "gated" in caught.value.message
    assert f"{tiny_hub.endpoint}/{TINY}" in caught.value.hint
    assert "HF_TOKEN" in caught.value.hint


@pytest.mark.parametrize(("status", "said"), [(503, "503"), (429, "429"), (404, "404")])
def test_other_refusals_carry_their_status(tiny_hub: HubServer, status: int, said: str):
    tiny_hub.status = status

    refused = _failure(tiny_hub)

    assert isinstance(refused, SourceUnreachableError)
    assert said in refused.message


def test_an_answer_that_is_not_a_hubs_is_told_as_such(tiny_hub: HubServer):
    tiny_hub.status = 200

    assert "does not answer as a Hugging Face Hub" in _failure(tiny_hub).message


def test_a_hub_that_lists_a_file_without_a_digest_is_no_hub(
    tiny_hub: HubServer, monkeypatch: pytest.MonkeyPatch
):
    listing = {"rfilename": "a", "size": 1}
    monkeypatch.setattr("hubserver.ServedFile.sibling", lambda *_: listing)

    assert "does not answer as a Hugging Face Hub" in _failure(tiny_hub).message


def test_a_hub_that_is_not_there_is_told_with_its_address_only():
    address = "http://user:password@127.0.0.1:9"

    with pytest.raises(SourceUnreachableError) as caught:
        resolve_revision(TINY, "main", endpoint=address)

    assert "http://127.0.0.1:9" in caught.value.message
    assert "password" not in caught.value.message + caught.value.hint


def test_a_client_that_is_switched_to_offline_says_so(
    tiny_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    revision = resolved(tiny_hub)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(SourceUnreachableError) as caught:
        fetched(tiny_hub, revision, tmp_path, [])

    assert "HF_HUB_OFFLINE" in caught.value.hint


@pytest.mark.parametrize(
    "endpoint", ["huggingface.co", "ftp://h", "http://", "http://[a"]
)
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str):
    with pytest.raises(UsageError):
        resolve_revision(TINY, "main", endpoint=endpoint)


@pytest.mark.parametrize("repo", ["a/b/c", "..", "a b/c", "http://x/y"])
def test_a_name_that_cannot_be_a_repo_is_a_fault_of_the_spec(
    tiny_hub: HubServer, repo: str
):
    assert isinstance(_failure(tiny_hub, repo=repo), SpecError)
    assert not tiny_hub.requests


def test_a_file_that_vanished_stops_the_others(real_hub: HubServer, tmp_path: Path):
    revision = resolved(real_hub, REAL)
    weights = file_of(revision, "model.safetensors")
    gone = HubFile("gone.txt", 1, git_sha1="0" * 40)
    counts: list[int] = []

    def slow(size: int) -> None:
        counts.append(size)
        time.sleep(0.2 if size else 0)

    with pytest.raises(RevisionError, match=r"gone\.txt"):
        snapshot(revision, [weights, gone], tmp_path, slow, endpoint=real_hub.endpoint)

    assert sum(counts) < weights.size


def test_an_interrupt_leaves_a_large_transfer_at_once(
    real_hub: HubServer, tmp_path: Path
):
    revision = resolved(real_hub, REAL)
    counts: list[int] = []

    def interrupted(size: int) -> None:
        counts.append(size)
        if size > 1 << 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snapshot(
            revision, revision.files, tmp_path, interrupted, endpoint=real_hub.endpoint
        )

    assert sum(counts) < 60_000_000
    assert not list(tmp_path.rglob("*.incomplete"))


def test_a_cache_that_cannot_be_written_is_named(tiny_hub: HubServer, tmp_path: Path):
    revision = resolved(tiny_hub)
    taken = tmp_path / "file"
    taken.touch()

    with pytest.raises(OutputError) as caught:
        fetched(tiny_hub, revision, taken, [])

    assert str(taken) in caught.value.message


def test_a_full_disk_is_told_as_such(
    tiny_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    revision = resolved(tiny_hub)
    monkeypatch.setattr("sealift_bundler.models.hub_download.hf_hub_download", full)

    with pytest.raises(OutputError, match="No space left"):
        fetched(tiny_hub, revision, tmp_path, [])


def test_a_file_too_large_for_plain_http_says_what_is_missing(
    tiny_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    revision = resolved(tiny_hub)
    monkeypatch.setattr(constants, "MAX_HTTP_DOWNLOAD_SIZE", 10)

    with pytest.raises(SourceUnreachableError) as caught:
        fetched(tiny_hub, revision, tmp_path, [])

    assert "too large" in caught.value.message
    assert "hf_xet" in caught.value.hint


def test_a_failure_of_the_xet_store_is_told_without_its_addresses(
    tiny_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def failing(*_: object, **__: object) -> str:
        raise RuntimeError("Task error: request for url (http://cas/x?sig=SECRET)")

    revision = resolved(tiny_hub)
    monkeypatch.setattr("sealift_bundler.models.hub_download.hf_hub_download", failing)

    with pytest.raises(SourceUnreachableError) as caught:
        fetched(tiny_hub, revision, tmp_path, [])

    assert "SECRET" not in caught.value.message + caught.value.hint
    assert "HF_HUB_DISABLE_XET" in caught.value.hint
