"""Names: which a bundle may carry, outside and inside."""

from __future__ import annotations

import pytest
from sealift_manifests.errors import UnsafePathError
from sealift_manifests.paths import (
    check_inner_path,
    check_inner_paths,
    is_label,
    is_version,
)


@pytest.mark.parametrize(
    "path", ["a", "a/b/c", ".hidden", "..a", "a..", "caf\u00e9 (1).txt", "x" * 255]
)
def test_plain_paths_are_accepted(path):
    check_inner_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/.."),
        *("a\0b", "a\nb", "a\\b", "a\x7fb", "\ud800", "x" * 256, "\u00e9" * 128),
        "/".join(["x" * 200] * 6),
    ],
)
def test_what_could_leave_the_root_or_deceive_is_refused(path):
    with pytest.raises(UnsafePathError):
        check_inner_path(path)


@pytest.mark.parametrize(
    "paths",
    [
        ["a", "a"],
        ["README", "readme"],
        ["\u00e9", "e\u0301"],
        ["stra\u00dfe", "STRASSE"],
        ["a", "a/b"],
        ["A/b", "a"],
    ],
)
def test_names_that_are_one_on_some_file_system_are_refused(paths):
    with pytest.raises(UnsafePathError):
        check_inner_paths(paths)
    with pytest.raises(UnsafePathError):
        check_inner_paths(reversed(paths))


def test_files_in_one_folder_are_distinct():
    check_inner_paths(["a/b", "a/c", "ab", "a.b"])


def test_labels_and_versions_are_safe_in_names_of_files():
    assert [is_label(x) for x in ("a", "a-b_1", "A", "-a", "a-", "a.b", "", "a\n")] == [
        *(True, True),
        *(False,) * 6,
    ]
    assert [is_version(x) for x in ("1.0-rc1", "2026.11", "..", "1/2", "", "1\n")] == [
        *(True, True),
        *(False,) * 4,
    ]
