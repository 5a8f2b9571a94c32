"""Two models on a Hub on loopback, and short ways to resolve, fetch and check them."""

from __future__ import annotations

from pathlib import Path

from hubserver import HubServer
from sealift_bundler.models.hub import (
    HubFile,
    HubRevision,
    expected_check,
    resolve_revision,
    snapshot,
)

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


def resolved(server: HubServer, repo: str = TINY) -> HubRevision:
    """Return what `main` means now."""
    return resolve_revision(repo, "main", endpoint=server.endpoint)


def fetched(
    server: HubServer, revision: HubRevision, cache: Path, counts: list[int]
) -> dict[str, Path]:
    """Fetch all files of a revision; each step of progress is added to `counts`."""
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
    """Return the file of a revision that has this path."""
    return next(file for file in revision.files if file.path == path)
