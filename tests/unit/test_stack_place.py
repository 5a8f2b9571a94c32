"""Compose is given the folder of the signed stack files, and no other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from sealift_installer.stack import project_of


def test_relative_paths_of_a_stack_start_beside_its_compose_file(tmp_path: Path):
    manifest = SimpleNamespace(name="acme")
    file = tmp_path / "stack" / "compose.yaml"
    release = SimpleNamespace(
        path=str(tmp_path), manifest=manifest, compose_file=str(file)
    )

    project = project_of(release)

    assert (project.name, project.file) == ("sealift-acme", str(file))
    assert project.directory == str(file.parent)
