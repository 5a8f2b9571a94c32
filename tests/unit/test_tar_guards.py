"""What a tar must be, so that no two readers take it in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest
from sealift_manifests import media, ustar
from sealift_manifests.errors import PayloadError
from sealift_manifests.media import Media


def patched(block: bytes, at: int, new: bytes) -> bytes:
    """Return a tar header with a field set anew and its checksum put right."""
    data = bytearray(block)
    data[at : at + len(new)] = new
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


PLAIN = ustar.header("acme/a.pack", 0)


@pytest.mark.parametrize(
    "block",
    [
        patched(PLAIN, 124, b"-0000001000\0"),
        patched(PLAIN, 124, b"0_000000000\0"),
        patched(PLAIN, 124, b"+0000000000\0"),
        patched(PLAIN, 124, b" " * 12),
        patched(PLAIN, 124, b"\xff" * 12),
        patched(PLAIN, 156, b"5"),
        patched(PLAIN, 156, b"2"),
        patched(PLAIN, 257, b"ustar  \0"),
        patched(PLAIN, 20, b"x"),
        PLAIN[:148] + b"-00001\0 " + PLAIN[156:],
    ],
)
def test_a_tar_header_out_of_the_ordinary_is_refused(block):
    assert ustar.parse_header(PLAIN) == ("acme/a.pack", 0)
    with pytest.raises(ValueError, match=r"\w"):
        ustar.parse_header(block)


def test_a_long_name_of_a_bundle_goes_into_the_prefix():
    name = "n" * 63 + "-" + "v" * 63 + "/" + "weights-" + "m" * 63 + ".sha256"

    block = ustar.header(name, 8 << 30)

    assert ustar.parse_header(block) == (name, 8 << 30)
    assert block[345 : 345 + 127].decode() == name.partition("/")[0]


def a_tar(path: Path, names: list[str]) -> str:
    """Write a tar of empty members; return its path."""
    path.write_bytes(b"".join(ustar.header(name, 0) for name in names) + ustar.END)
    return str(path)


@pytest.mark.parametrize(
    "names",
    [
        ["acme/a.pack", "acme/a.pack"],
        ["acme/a.pack", "acme/A.pack"],
        ["acme/a.pack", "other/b.pack"],
        ["acme/a.pack", "b.pack"],
        ["acme/sub/a.pack"],
        ["acme/.hidden"],
        ["/a.pack"],
        ["a.pack"],
        ["../a.pack"],
        ["./a.pack"],
    ],
)
def test_a_tar_that_would_unpack_to_something_else_is_refused(names, tmp_path):
    with pytest.raises(PayloadError, match="not a whole Sealift tar"):
        Media([a_tar(tmp_path / "b.tar", names)])


def test_a_tar_with_more_members_than_any_bundle_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "_MAX_MEMBERS", 3)
    names = [f"acme/{number}" for number in range(4)]

    Media([a_tar(tmp_path / "a.tar", names[:3])]).close()
    with pytest.raises(PayloadError, match="more members"):
        Media([a_tar(tmp_path / "b.tar", names)])


def test_a_tar_in_one_folder_is_read(tmp_path):
    with Media([a_tar(tmp_path / "b.tar", ["acme/a.pack", "acme/b.pack"])]) as found:
        assert found.names() == ("a.pack", "b.pack")
