"""A bundle that will not fit is found out before it is packed, one that may is told."""

from __future__ import annotations

import errno
import os

import pytest
from making import noise
from mixed import weights
from sealift_bundler import output
from sealift_bundler.output import output_faults
from sealift_bundler.room import least_size, require_room
from sealift_manifests.errors import OutputError

MIB = 1 << 20


def on_disk(folder, **files: bytes):
    """Write files; return their paths and sizes."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [(folder / name, len(data)) for name, data in files.items()]


@pytest.mark.parametrize(
    ("data", "least", "most"),
    [
        (noise("n", 4 * MIB), 2 * MIB, 2 * MIB),
        (bytes(4 * MIB), 0, 1000),
        (weights("w", 2 * MIB, 2), int(1.2 * MIB), int(1.6 * MIB)),
        (b"", 0, 0),
    ],
    ids=["noise", "zeros", "weights", "nothing"],
)
def test_a_file_is_held_to_need_half_of_what_samples_of_it_shrink_to(
    tmp_path, data, least, most
):
    assert least <= least_size(on_disk(tmp_path, a=data)) <= most


def test_files_of_one_size_may_be_one_file(tmp_path):
    files = on_disk(tmp_path, a=noise("a", MIB), b=noise("b", MIB), c=bytes(MIB))

    assert least_size(files[:2]) == MIB // 2
    assert least_size(files) < 1000


def test_what_fits_for_sure_is_not_spoken_of(tmp_path):
    assert require_room(tmp_path, free=10, least=5, most=10) == ""


def test_what_may_not_fit_is_warned_of(tmp_path):
    told = require_room(tmp_path, free=5 * MIB, least=5 * MIB, most=6 * MIB)

    assert told == (
        f"{tmp_path} has 5.0 MiB free, and the bundle needs up to 6.0 MiB more: it may "
        "not fit"
    )


def test_what_cannot_fit_is_refused_with_what_is_missing(tmp_path):
    with pytest.raises(OutputError, match=r"2\.0 MiB are missing") as refused:
        require_room(tmp_path, free=5 * MIB, least=7 * MIB, most=9 * MIB)

    assert "for 9.0 MiB, to be sure" in refused.value.hint


def failing(folder, number: int, left: int = 0) -> OutputError:
    """Return what is said of an error of the system."""
    with pytest.raises(OutputError) as told, output_faults(folder, left):
        raise OSError(number, os.strerror(number))
    return told.value


def test_a_full_disk_says_what_is_missing_and_what_else_lies_there(
    tmp_path, monkeypatch
):
    usage = type("Usage", (), {"free": 3 * MIB})
    monkeypatch.setattr(output.shutil, "disk_usage", lambda place: usage)
    (tmp_path / ".old-1.partial").mkdir()
    (tmp_path / ".old-1.partial" / "data-0001.pack").write_bytes(bytes(2 * MIB))
    (tmp_path / ".old-2.tar.partial").write_bytes(bytes(MIB))

    told = failing(tmp_path, errno.ENOSPC, left=10 * MIB)

    assert "3.0 MiB are free" in told.message
    assert "up to 10.0 MiB are left to pack, so up to 7.0 MiB are missing" in (
        told.message
    )
    assert f"{tmp_path}/.old-1.partial (2.0 MiB)" in told.hint
    assert f"{tmp_path}/.old-2.tar.partial (1.0 MiB)" in told.hint


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "cannot be written"),
        (errno.EFBIG, "too large for its file system"),
        (errno.EIO, "fails: Input/output error"),
    ],
)
def test_other_errors_of_the_disk_are_told_too(tmp_path, number, words):
    assert words in failing(tmp_path, number).message
