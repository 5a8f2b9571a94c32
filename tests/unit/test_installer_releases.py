"""Releases: which is in use, and that none is older by accident."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sealift_installer import releases
from sealift_installer.layout import Layout
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import DowngradeError, NotInstalledError
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
KEY = (GOLDEN / "golden-ed25519.pub").read_text()


@pytest.fixture(scope="module")
def bundle() -> Iterator[Bundle]:
    with Media([str(GOLDEN / "bundle-v1")]) as media:
        now = datetime(2026, 2, 1, tzinfo=UTC)
        yield open_bundle(media, Trust.from_key_file(KEY, "key"), now)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(str(tmp_path / "state"), str(tmp_path / "config"))


def serial_of(bundle: Bundle, serial: int) -> Bundle:
    """Return the bundle as if it had another serial, and so another root."""
    manifest = replace(bundle.manifest, serial=serial)
    return replace(bundle, manifest=manifest, root=digest_of(b"%d" % serial))


def test_a_host_takes_higher_serials_and_the_same_bundle_again(layout, bundle):
    releases.write_serial(layout, serial_of(bundle, 5))

    for serial in (5, 6):
        again = serial_of(bundle, serial)
        releases.check_serial(layout, again, allow_downgrade=False)


def test_a_lower_serial_is_refused_unless_a_downgrade_is_meant(layout, bundle):
    releases.write_serial(layout, serial_of(bundle, 5))

    with pytest.raises(DowngradeError, match="lower serial"):
        releases.check_serial(layout, serial_of(bundle, 4), allow_downgrade=False)
    releases.check_serial(layout, serial_of(bundle, 4), allow_downgrade=True)


def test_another_bundle_of_the_same_serial_is_refused(layout, bundle):
    releases.write_serial(layout, serial_of(bundle, 5))
    other = replace(serial_of(bundle, 5), root=digest_of(b"other"))

    with pytest.raises(DowngradeError, match="the same serial"):
        releases.check_serial(layout, other, allow_downgrade=False)


def test_the_highest_serial_stays_after_a_downgrade(layout, bundle):
    for serial in (5, 4):
        releases.write_serial(layout, serial_of(bundle, serial))

    assert releases.read_serial(layout, bundle.manifest.name).serial == 5


# In use


def test_the_link_to_the_release_in_use_is_moved_in_one_step(layout, tmp_path):
    folder = Path(layout.releases, "golden")
    for name in ("1", "2"):
        (folder / name).mkdir(parents=True)
        releases.switch(layout, "golden", str(folder / name))

    assert releases.current_path(layout, "golden") == str(folder / "2")
    assert releases.installed_bundles(layout) == ("golden",)
    assert os.readlink(layout.current("golden")) == "../releases/golden/2"


def test_what_a_switch_that_was_cut_off_left_is_no_bundle(layout):
    folder = Path(layout.releases, "golden/1")
    folder.mkdir(parents=True)
    releases.switch(layout, "golden", str(folder))
    os.symlink("../releases/golden/2", layout.current("golden") + ".new")

    assert releases.installed_bundles(layout) == ("golden",)


def test_a_host_with_nothing_says_so(layout):
    with pytest.raises(NotInstalledError, match="nothing is installed"):
        releases.choose(layout, None)
    with pytest.raises(NotInstalledError, match="golden is not installed"):
        releases.choose(layout, "golden")
