"""The tar that we write and read, against GNU tar and Python's tarfile."""

from __future__ import annotations

import io
import subprocess
import tarfile

import pytest
from sealift_manifests import ustar


def archive(**files: bytes) -> bytes:
    parts = []
    for name, data in files.items():
        parts += [ustar.header(name, len(data)), data, ustar.padding(len(data))]
    return b"".join(parts) + ustar.END


def read(data: bytes) -> list[tuple[str, bytes]]:
    found = ustar.members(lambda at, size: data[at : at + size], len(data))
    return [(name, data[at : at + size]) for name, at, size in found]


FILES = {"a": b"", "b": b"x", "c": b"y" * 512, "d": b"z" * 513}


def test_what_is_written_is_read_back():
    assert read(archive(**FILES)) == list(FILES.items())


def test_other_readers_see_the_same():
    with tarfile.open(fileobj=io.BytesIO(archive(**FILES))) as tar:
        seen = {m.name: (m.mode, m.uid, m.mtime, m.size) for m in tar.getmembers()}

    assert seen == {name: (0o644, 0, 0, len(data)) for name, data in FILES.items()}


def test_what_gnu_tar_writes_in_this_form_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 700)
    made = subprocess.check_output(
        ["tar", "--format=ustar", "-cf", "-", "file"], cwd=tmp_path
    )

    assert read(made) == [("file", b"x" * 700)]


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 2**40 + 1])
def test_sizes_beyond_8_gib_are_those_that_others_read(size):
    block = ustar.header("big", size)

    assert ustar.parse_header(block) == ("big", size)
    assert tarfile.TarInfo.frombuf(block, "ascii", "strict").size == size


def test_a_block_of_zeros_is_the_end_and_no_header():
    assert ustar.parse_header(bytes(512)) is None


@pytest.mark.parametrize("kept", [511, 512 + 100, 512 + 512 + 100])
def test_an_archive_that_was_cut_is_refused(kept):
    with pytest.raises(ValueError, match=r"."):
        read(archive(one=b"x" * 600)[:kept])


def test_a_changed_header_is_refused():
    block = bytearray(ustar.header("name", 5))
    block[0] ^= 1

    with pytest.raises(ValueError, match="checksum"):
        ustar.parse_header(bytes(block))
