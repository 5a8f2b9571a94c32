"""What a copy of a volume would lose is found before the volume is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sealift_installer.data_attributes import attributes, require_no_attributes
from sealift_manifests.errors import UsageError
from volume_engine import VolumeEngine, a_host


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume, on a file system that has any attribute: those in `.attributes`."""
    root = tmp_path / "volume"
    (root / "a").mkdir(parents=True)
    (root / "a/file").write_text("x")
    (root / "link").symlink_to("/nowhere")
    names = {
        root: ["system.posix_acl_default"],
        root / "a": ["security.selinux"],
        root / "a/file": ["user.note", "security.capability"],
        root / "link": ["trusted.mine"],
    }

    def listed(path: str, *, follow_symlinks: bool) -> list[str]:
        assert not follow_symlinks
        return names[Path(path)]

    monkeypatch.setattr(os, "listxattr", listed)
    return root


def test_each_attribute_that_an_archive_does_not_have_is_named(root):
    assert sorted(attributes(str(root))) == [
        "system.posix_acl_default of .",
        "trusted.mine of link",
        "user.note of a/file",
    ]


def test_a_volume_with_such_attributes_is_refused_with_what_to_do(root, tmp_path):
    engine = VolumeEngine()
    engine.add("store", "acme", "any", str(root))

    with pytest.raises(UsageError, match=r"user\.note of a/file") as refused:
        require_no_attributes(a_host(tmp_path, engine), ["store"])

    assert "--without-attributes" in refused.value.hint
    assert str(root) in refused.value.hint


def test_a_file_system_without_attributes_has_none(root, monkeypatch):
    def refused(path: str, *, follow_symlinks: bool) -> list[str]:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "listxattr", refused)

    assert list(attributes(str(root))) == []


def test_nothing_is_said_of_a_volume_that_is_not_there(tmp_path):
    require_no_attributes(a_host(tmp_path, VolumeEngine()), ["store"])
