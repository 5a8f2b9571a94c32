"""Local model directories: links are followed to files, the rest is told at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sealift_bundler.models.local import scan_directory
from sealift_manifests.errors import SourceContentError, SpecError


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def paths(root: Path) -> list[str]:
    return [file.path for file in scan_directory(root).files]


def refused(root: Path) -> str:
    with pytest.raises(SourceContentError) as caught:
        scan_directory(root)
    return caught.value.message


def test_files_come_sorted_by_path_with_size_and_time(tmp_path: Path):
    write(tmp_path, "b/z.txt", "b.txt", "a \u00e9.txt", ".hidden", "b/.cache/x")
    os.utime(tmp_path / "b.txt", ns=(5, 7))

    files = scan_directory(tmp_path).files

    assert [f.path for f in files] == sorted(f.path for f in files)
    assert {f.path for f in files} >= {"b/z.txt", ".hidden", "b/.cache/x"}
    by_path = {f.path: f for f in files}
    assert (by_path["b.txt"].size, by_path["b.txt"].mtime_ns) == (5, 7)


def test_a_hub_cache_snapshot_gives_the_real_files(tmp_path: Path):
    write(tmp_path, "blobs/abc")
    snapshot = tmp_path / "snapshots" / "0123"
    (snapshot / "sub").mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    (snapshot / "sub" / "same").symlink_to("../../../blobs/abc")

    files = scan_directory(snapshot).files

    assert [f.path for f in files] == ["model.safetensors", "sub/same"]
    assert {f.source for f in files} == {(tmp_path / "blobs" / "abc").resolve()}


def test_a_whole_hub_cache_folder_is_refused_with_its_snapshots(tmp_path: Path):
    write(tmp_path, "blobs/abc", "snapshots/0123/config.json")

    with pytest.raises(SpecError) as caught:
        scan_directory(tmp_path)

    assert "snapshots/0123" in caught.value.hint


def test_links_to_directories_are_followed_inside_the_tree_only(tmp_path: Path):
    root = tmp_path / "model"
    write(tmp_path, "model/real/a.txt", "elsewhere/secret")
    (root / "alias").symlink_to("real")

    assert paths(root) == ["alias/a.txt", "real/a.txt"]
    (root / "out").symlink_to("../elsewhere")
    assert "out: a link to a directory elsewhere" in refused(root)


def test_a_root_that_is_a_link_itself_is_fine(tmp_path: Path):
    write(tmp_path, "real/sub/a.txt")
    (tmp_path / "link").symlink_to("real")

    assert paths(tmp_path / "link") == ["sub/a.txt"]


@pytest.mark.parametrize("target", [".", "..", "../../sub/deeper"])
def test_a_link_that_leads_back_is_no_endless_loop(tmp_path: Path, target: str):
    write(tmp_path, "sub/deeper/a.txt")
    (tmp_path / "sub" / "deeper" / "loop").symlink_to(target)

    assert ": sub/deeper/loop: a link that leads back" in refused(tmp_path)


def test_all_that_cannot_be_carried_is_told_at_once(tmp_path: Path):
    write(tmp_path, "good.txt")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "two\nlines").touch()
    (tmp_path / os.fsdecode(b"latin-\xe9")).touch()

    said = refused(tmp_path)

    assert ", 6 cannot be carried: " in said
    for part in (
        "dangling: a dangling link",
        "circle: a dangling link",
        "pipe: not a file (p)",
        "null: not a file (c)",
        "'two\\nlines'",
        "latin-",
    ):
        assert part in said
    assert "good.txt" not in said
    said.encode()


def test_many_faults_are_counted_and_the_first_shown(tmp_path: Path):
    for number in range(50):
        (tmp_path / f"link{number:02}").symlink_to("nowhere")

    said = refused(tmp_path)

    assert ", 50 cannot be carried: " in said
    assert "link19" in said
    assert "link20" not in said
    assert said.endswith("and 30 more")


def test_what_belongs_to_tools_is_left_out_with_a_note(tmp_path: Path):
    write(tmp_path, "a", ".git/HEAD", "sub/.git", ".cache/huggingface/x", ".gitignore")

    tree = scan_directory(tmp_path)

    assert [f.path for f in tree.files] == [".gitignore", "a"]
    assert len(tree.notes) == 3
    for name in (".git (", "sub/.git (", ".cache/huggingface ("):
        assert any(name in note for note in tree.notes)


def test_a_place_without_files_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    write(tmp_path, "file")

    assert "no file" in refused(tmp_path / "empty")
    for name in ("none", "file"):
        with pytest.raises(SpecError, match=name):
            scan_directory(tmp_path / name)


SCAN_AS_NOBODY = """
import os, sys, pathlib
from sealift_bundler.models.local import scan_directory
from sealift_manifests.errors import SourceContentError
os.setgid(65534); os.setuid(65534)
try:
    scan_directory(pathlib.Path(sys.argv[1]))
except SourceContentError as error:
    print(error.message)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_may_not_be_read_is_told(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("open")
    for folder in (root, *root.parents[:2]):
        folder.chmod(0o755)
    write(root, "ok", "closed", "folder/inside")
    (root / "closed").chmod(0o600)
    (root / "folder").chmod(0o700)

    done = subprocess.run(
        [sys.executable, "-c", SCAN_AS_NOBODY, str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "closed: no permission to read it" in done.stdout
    assert "folder: Permission denied" in done.stdout
    assert "ok" not in done.stdout
