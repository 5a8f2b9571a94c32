"""Which release was before, which may go, and whose a container is: decided purely."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sealift_installer.beside import owner
from sealift_installer.containers import Container
from sealift_installer.history import History
from sealift_installer.prune import reason_to_keep
from sealift_installer.releases import Release, ReleaseRecord
from sealift_installer.standing import Standing, stand
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import NotInstalledError, UsageError
from sealift_manifests.model import parse_manifest
from sealift_manifests.names import project_name

GOLDEN = Path(__file__).resolve().parents[1] / "golden/bundle-v1"
MANIFEST = parse_manifest((GOLDEN / "manifest.json").read_bytes())
NAME = MANIFEST.name


def a_release(version: str, day: int, root: str = "") -> Release:
    digest = digest_of((root or version).encode())
    record = ReleaseRecord(
        NAME, version, day, digest, f"2026-11-{day:02}T00:00:00Z", (), {}
    )
    path = f"/state/releases/{NAME}/{version}-{digest.short}"
    return Release(path, replace(MANIFEST, version=version), record)


A, B, C, D = (a_release(v, day) for day, v in enumerate("abcd", start=1))
ALL = (A, B, C, D)


def standing(
    current: Release | None, *used: Release, started: Release | None = None
) -> Standing:
    history = History(tuple(r.name for r in used), started.name if started else None)
    return stand(NAME, ALL, current.name if current else None, history)


def test_releases_stand_in_the_order_of_use_and_then_of_their_install():
    found = standing(B, C)

    assert found.releases == (B, C, D, A)
    assert (found.current, found.previous) == (B, C)


def test_a_note_that_was_written_before_the_switch_changes_nothing_yet():
    # Going from B to another one is noted, and B is still in use.
    assert standing(B, B, A).previous is A
    assert standing(C, B, A).previous is B


def test_what_is_not_installed_any_more_is_passed_over():
    gone = a_release("gone", 9)

    found = standing(A, gone, B, started=gone)

    assert (found.previous, found.started) == (B, None)


def test_a_release_that_was_left_twice_stands_once():
    history = History(("a", "b", "c"), "a")

    assert history.left("c") == History(("c", "a", "b"), "a")
    assert history.only({"b"}) == History(("b",), None)


def test_a_release_is_named_by_version_root_or_directory():
    found = standing(A)

    for wanted in ("b", B.name, B.record.root, B.record.root.hex[:6]):
        assert found.find(wanted) is B
    for wanted in ("x", "", B.record.root.hex[:5], f"../{B.name}"):
        with pytest.raises(NotInstalledError, match=B.name):
            found.find(wanted)


def test_one_version_of_two_releases_is_not_enough():
    other = a_release("a", 5, root="other")
    found = stand(NAME, (*ALL, other), B.name, History())

    with pytest.raises(UsageError, match=f"{other.name}, {A.name}"):
        found.find("a")
    assert found.find(other.name) is other


# What may go


@pytest.mark.parametrize(
    ("found", "keep", "stays"),
    [
        (standing(D, C, B), 1, [D, C]),
        (standing(D, C, B), 0, [D]),
        (standing(D, C, B), 2, [D, C, B]),
        (standing(D, C, B, started=B), 1, [D, C, B]),
        (standing(B, started=B), 1, [B, D]),
        (standing(None, C), 0, [C, D, B, A]),
    ],
)
def test_a_prune_keeps_the_one_in_use_those_before_and_the_last_that_came_up(
    found, keep, stays
):
    kept = [one for one in found.releases if reason_to_keep(found, one, keep)]

    assert kept == stays


# Whose a container is


def a_container(release: Release | None, *, project: str = NAME) -> Container:
    folder = f"{release.path}/stack" if release else ""
    return Container(
        "id", "c", True, project_name(project), folder, frozenset(), frozenset(), ()
    )


@pytest.mark.parametrize(
    ("found", "made_by", "owned_by"),
    [
        # B was installed, and not started yet: the old one serves.
        (standing(B, A, started=A), A, A),
        # B came up, and needed the container as A had made it.
        (standing(B, A, started=B), A, B),
        # B did not come up, and was left as it is.
        (standing(B, A, started=A), B, B),
        # From before anybody wrote down what came up.
        (standing(B, A), A, A),
        (standing(B, A), a_release("gone", 9), None),
    ],
)
def test_a_container_belongs_to_the_release_that_serves_with_it(
    found, made_by, owned_by
):
    assert owner(found, a_container(made_by)) is owned_by


def test_containers_of_other_projects_belong_to_no_release():
    found = standing(B, A, started=A)

    assert owner(found, a_container(A, project="other")) is None
    assert owner(found, a_container(None)) is None
