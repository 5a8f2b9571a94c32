"""SHA256SUMS: what coreutils reads is what we read, and nothing looser."""

from __future__ import annotations

import subprocess

import pytest
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import ManifestError
from sealift_manifests.sums import format_sums, parse_sums

A, B = digest_of(b"a"), digest_of(b"b")


def test_what_is_written_is_read_back_and_accepted_by_sha256sum(tmp_path):
    (tmp_path / "x.pack").write_bytes(b"a")
    (tmp_path / "Y.md").write_bytes(b"b")
    data = format_sums({"x.pack": A, "Y.md": B})
    (tmp_path / "SHA256SUMS").write_bytes(data)

    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=tmp_path, capture_output=True
    )

    assert done.returncode == 0
    assert parse_sums(data) == {"x.pack": A, "Y.md": B}
    assert list(parse_sums(data)) == ["Y.md", "x.pack"]


@pytest.mark.parametrize(
    "data",
    [
        f"{A.hex}  a",
        f"{A.hex} *a\n",
        f"{A.hex} a\n",
        f"\\{A.hex}  a\n",
        f"{A.hex.upper()}  a\n",
        f"{A.hex}  a\r\n",
        f"{A.hex}  ../a\n",
        f"{A.hex}  a/b\n",
        f"{A.hex}  \u00e9\n",
        f"{A.hex}  b\n{B.hex}  a\n",
        f"{A.hex}  a\n{B.hex}  a\n",
        f"{A.hex}  a\n\n",
        f"# a comment\n{A.hex}  a\n",
    ],
)
def test_anything_looser_is_refused(data):
    with pytest.raises(ManifestError):
        parse_sums(data.encode())
