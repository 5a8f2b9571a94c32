"""What is really there is looked at: folders that hide, files that are none."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from sealift_installer.audit import _release_drift
from sealift_installer.trees import walk
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import StagingError

NOBODY = 65534


@contextmanager
def hanging_fails() -> Iterator[None]:
    """Raise TimeoutError after some seconds: reading from a FIFO waits for ever."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(5)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def as_nobody(folder: Path) -> int:
    """Walk a folder as a user without rights; return 0 if that was refused."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        os.chdir(folder)
        if os.getuid() == 0:
            os.setuid(NOBODY)
        list(walk("."))
    except StagingError as error:
        code = 0 if "closed cannot be read" in error.message else 2
    finally:
        os._exit(code)


def test_a_folder_that_may_not_be_read_does_not_count_as_empty(tmp_path: Path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "sitecustomize.py").write_bytes(b"import evil")
    (tmp_path / "closed").chmod(0)
    tmp_path.chmod(0o755)

    refused = as_nobody(tmp_path)

    (tmp_path / "closed").chmod(0o700)
    assert refused == 0


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path):
    assert list(walk(str(tmp_path / "missing"))) == []


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "other bytes", "missing"])
def test_what_stands_in_the_place_of_a_stack_file_is_drift(tmp_path: Path, kind: str):
    place = tmp_path / "stack" / "compose.yaml"
    place.parent.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"services: {}")
    make = {
        "fifo": lambda: os.mkfifo(place),
        "folder": lambda: place.mkdir(),
        "link": lambda: place.symlink_to(tmp_path / "elsewhere"),
        "other bytes": lambda: place.write_bytes(b"services: {a: {}}"),
        "missing": lambda: None,
    }
    make[kind]()
    file = SimpleNamespace(path="compose.yaml", digest=digest_of(b"services: {}"))
    manifest = SimpleNamespace(stack=SimpleNamespace(files=[file]))
    bundle = SimpleNamespace(
        manifest=manifest, sums={"elsewhere": file.digest}, signatures={}
    )

    with hanging_fails():
        drift = list(_release_drift(SimpleNamespace(path=str(tmp_path)), bundle))

    assert [one.where for one in drift] == [str(place)]
