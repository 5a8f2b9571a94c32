"""A packed file is the file that its commit names, or the build stops."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sealift_bundler.models.content_check import expected_check
from sealift_bundler.models.hub_values import HubFile, HubRevision
from sealift_bundler.pack import Packer
from sealift_bundler.pack_models import GatheredModel, SourceFile, pack_model
from sealift_bundler.progress import Meter, NoDisplay
from sealift_bundler.target import DirectoryTarget
from sealift_manifests.errors import SourceContentError
from sealift_manifests.model_entries import ModelSource

SEVERAL_CHUNKS = bytes(range(256)) * (5 << 14)
"""20 MiB."""


def large(data: bytes) -> HubFile:
    return HubFile("a.bin", len(data), sha256=hashlib.sha256(data).hexdigest())


def small(data: bytes) -> HubFile:
    name = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
    return HubFile("a.bin", len(data), git_sha1=name.hexdigest())


def pack(file: HubFile, data: bytes, folder: Path) -> str:
    """Pack `data` as what the Hub listed as `file`; return its digest."""
    source = folder / "copy"
    source.write_bytes(data)
    revision = HubRevision("acme/tiny", "main", "0" * 40, (file,))
    check = expected_check(revision, file, source)
    files = (SourceFile(file.path, source, len(data), check=check),)
    model = GatheredModel("tiny", "flat", ModelSource("path"), files, (), {})
    with Packer(DirectoryTarget(folder / "bundle")) as packer:
        taken = pack_model(packer, model, Meter("packing", 0, NoDisplay()))
        packer.drain()
        entry, _ = taken.finish()
    return entry.files[0].digest


@pytest.mark.parametrize("listed", [large, small])
@pytest.mark.parametrize("data", [b"", b"one chunk", SEVERAL_CHUNKS])
def test_a_file_is_accepted_as_what_its_commit_names(listed, data, tmp_path):
    digest = pack(listed(data), data, tmp_path)

    assert digest == "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("listed", [large, small])
@pytest.mark.parametrize("data", [b"one chunk", SEVERAL_CHUNKS])
def test_a_file_with_another_last_byte_is_refused_and_its_copy_removed(
    listed, data, tmp_path
):
    other = data[:-1] + bytes([data[-1] ^ 1])

    with pytest.raises(SourceContentError, match=r"a\.bin of acme/tiny is not"):
        pack(listed(data), other, tmp_path)

    assert not (tmp_path / "copy").exists()
