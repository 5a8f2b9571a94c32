"""A volume as an engine's tar: what is asked of its list of names."""

from __future__ import annotations

import io
import tarfile
from contextlib import contextmanager

from sealift_bundler.buffers import Buffers
from sealift_bundler.volumes.archive import ArchiveReader
from sealift_bundler.volumes.found import Scan

MANY = 50


def a_tar() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for number in range(MANY):
            info = tarfile.TarInfo(f"data/{number:03}")
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    return held.getvalue()


def test_the_list_of_a_volume_is_gone_through_once_not_for_each_file(monkeypatch):
    data, asked, taken = a_tar(), [], []
    firsts = Scan.firsts.func

    @contextmanager
    def opened():
        yield io.BytesIO(data)

    def counted(scan):
        asked.append(scan)
        return firsts(scan)

    monkeypatch.setattr(Scan, "firsts", property(counted))
    made = ArchiveReader("store", opened, Buffers())

    made.read(made.scan(), lambda path, pieces: taken.append((path, list(pieces))))

    assert len(taken) == MANY
    assert len(asked) == 1
