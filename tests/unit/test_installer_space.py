"""Is there room? Needs against file systems, told all at once."""

from __future__ import annotations

import os

import pytest
from engines import a_layer, an_image
from sealift_installer.image_recovery import plan_recovery
from sealift_installer.space import (
    FileSystem,
    Need,
    check_space,
    image_need,
    probe,
    recovery_need,
    shortages,
)
from sealift_manifests.errors import PreflightError

GIB = 1 << 30
BIG = FileSystem(device=1, free=10 * GIB, free_names=100, block=4096)
SMALL = FileSystem(device=2, free=GIB, free_names=100, block=4096)
SYSTEMS = {"/state": BIG, "/other": BIG, "/docker": SMALL}


def test_what_fits_is_not_told():
    needs = [Need("/state", 10 * GIB, 100, "weights"), Need("/docker", GIB, 0, "image")]

    assert shortages(needs, SYSTEMS.__getitem__) == ()


def test_needs_on_one_file_system_are_added_up():
    needs = [Need("/state", 6 * GIB, 1, "weights"), Need("/other", 6 * GIB, 1, "image")]

    (said,) = shortages(needs, SYSTEMS.__getitem__)

    assert "/state, /other has 10.0" in said
    assert "12.0" in said


def test_every_full_file_system_is_told_and_inodes_too():
    needs = [Need("/state", 1, 101, "weights"), Need("/docker", 2 * GIB, 0, "image a")]

    names, size = shortages(needs, SYSTEMS.__getitem__)

    assert "100 inodes free, and 101 are needed" in names
    assert "/docker" in size


def test_a_directory_that_is_not_there_yet_is_on_the_file_system_above(tmp_path):
    assert probe(str(tmp_path / "not/yet")).device == os.stat(tmp_path).st_dev


def test_a_real_file_system_is_never_large_enough_for_everything(tmp_path):
    with pytest.raises(PreflightError, match="short"):
        check_space([Need(str(tmp_path), 1 << 62, 0, "weights")])


@pytest.mark.parametrize("exact", [True, False])
def test_an_image_whose_lower_layers_are_there_needs_room_for_what_is_new(exact):
    base, big, top = (a_layer({n: bytes(100_000)}) for n in ("base", "big", "top"))
    old, new = an_image(base, big).entry, an_image(base, big, top).entry
    plan, _ = plan_recovery(new.layers[:2], [old], exact=exact)

    need = recovery_need("/docker", new, plan)

    own = new.manifest.size + new.config.size + new.layers[2].size
    unpacked = len(top)
    export_and_archive = 0 if exact else 2 * (len(base) + len(big))
    assert need.size == own + unpacked + export_and_archive
    assert image_need("/docker", new).size > own + unpacked
