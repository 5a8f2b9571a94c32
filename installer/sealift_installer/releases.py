"""The releases on this host: their signed files, which is in use, their serials."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, Optional, Tuple

from sealift_manifests import records, strictjson
from sealift_manifests.bundle import MANIFEST_NAME, Bundle, open_bundle
from sealift_manifests.digests import Digest
from sealift_manifests.errors import (
    DowngradeError,
    DriftError,
    ManifestError,
    NotInstalledError,
    SealiftError,
)
from sealift_manifests.media import Media
from sealift_manifests.model import Manifest, parse_manifest
from sealift_manifests.paths import is_label
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.trust import Trust

from sealift_installer import durable
from sealift_installer.history import note_left
from sealift_installer.layout import Layout
from sealift_installer.trees import walk

RECORD_NAME = "release.json"
STACK_FOLDER = "stack"
TIME = "%Y-%m-%dT%H:%M:%SZ"
"""How a record says when a release was installed, in UTC."""


@dataclass(frozen=True)
class ReleaseRecord:
    """What was decided when a release was installed; written beside its files.

    `accepted`: the fails of the preflight that were taken on, by slug.
    """

    bundle: str
    version: str
    serial: int
    root: Digest
    installed: str
    signed_by: Tuple[str, ...]
    engine: Dict[str, Any]
    accepted: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Release:
    """An installed release: its directory, its manifest, and what was decided."""

    path: str
    manifest: Manifest
    record: ReleaseRecord

    def document(self, name: str) -> bytes:
        """Return a small file of the release as it lies there: audit verifies it."""
        data = durable.read_file(os.path.join(self.path, name))
        if data is None:
            raise NotInstalledError(
                f"{name} is missing from {self.path}",
                hint="Run `audit`; then install the bundle again with --repair.",
            )
        return data

    @property
    def name(self) -> str:
        """The name of its directory: the version and the short root."""
        return os.path.basename(self.path)

    @property
    def title(self) -> str:
        """What people call it: bundle and version."""
        return f"{self.manifest.name} {self.manifest.version}"

    @property
    def compose_file(self) -> Optional[str]:
        """The compose file, or None for a bundle without a stack."""
        stack = self.manifest.stack
        if stack is None:
            return None
        return os.path.join(self.path, STACK_FOLDER, *stack.compose.split("/"))


@dataclass(frozen=True)
class Serial:
    """The highest serial a host has had of a bundle, and the root it had."""

    serial: int
    root: Digest


def write_release(layout: Layout, bundle: Bundle, record: ReleaseRecord) -> str:
    """Write the signed files, the stack and the record; all of it appears at once."""
    final = layout.release(bundle.manifest, bundle.root)
    parent, name = os.path.split(final)
    unfinished = os.path.join(parent, f".{name}.partial")
    durable.make_directories(parent)
    durable.remove_tree(unfinished)
    os.mkdir(unfinished)
    os.chmod(unfinished, 0o755)
    files = _signed_files(bundle)
    files[RECORD_NAME] = strictjson.dump(records.encode(record))
    for name, data in files.items():
        durable.write_new_file(os.path.join(unfinished, name), data, 0o444)
    _write_stack(bundle, os.path.join(unfinished, STACK_FOLDER))
    durable.sync_directory(unfinished)
    durable.replace_directory(final, unfinished)
    return final


def is_whole(layout: Layout, bundle: Bundle, *, compare: bool) -> bool:
    """Say whether the bundle's release is there; with `compare`, byte for byte."""
    folder = layout.release(bundle.manifest, bundle.root)
    if not compare or not os.path.isdir(folder):
        return os.path.isdir(folder)
    expected = _signed_files(bundle)
    if bundle.manifest.stack:
        stack = {f"{STACK_FOLDER}/{e.path}": e for e in bundle.manifest.stack.files}
        expected.update({path: _read(bundle, e.digest) for path, e in stack.items()})
    found = dict(walk(folder))
    if set(found) != {*expected, RECORD_NAME} or not all(
        stat.S_ISREG(status.st_mode) for status in found.values()
    ):
        return False
    return _has_record(folder, bundle) and all(
        durable.read_file(os.path.join(folder, path)) == data
        for path, data in expected.items()
    )


def _has_record(folder: str, bundle: Bundle) -> bool:
    try:
        record = read_release(folder).record
        datetime.strptime(record.installed, TIME)
    except (DriftError, ValueError):
        return False
    return record.root == bundle.root


def _signed_files(bundle: Bundle) -> Dict[str, bytes]:
    files = {name: bundle.document(name) for name in bundle.small_files}
    files.update(bundle.signatures)
    files[SUMS_NAME] = bundle.document(SUMS_NAME)
    return files


def _read(bundle: Bundle, digest: Digest) -> bytes:
    return b"".join(bytes(part) for part in bundle.read_content(digest))


def _write_stack(bundle: Bundle, folder: str) -> None:
    if bundle.manifest.stack is None:
        return
    for entry in bundle.manifest.stack.files:
        path = os.path.join(folder, *entry.path.split("/"))
        durable.make_directories(os.path.dirname(path))
        durable.write_new_file(path, _read(bundle, entry.digest), 0o444)
        durable.sync_directory(os.path.dirname(path))


def switch(layout: Layout, bundle: str, path: str, *, remember: bool = True) -> None:
    """Make a release the one in use, in one step; what was in use before is noted.

    Without `remember` it is not: nobody should go back to one that did not come up.
    """
    link, before = layout.current(bundle), current_path(layout, bundle)
    if remember and before and before != os.path.realpath(path):
        installed = release_names(layout, bundle)
        note_left(layout, bundle, os.path.basename(before), installed)
    durable.make_directories(os.path.dirname(link))
    folder = os.path.realpath(os.path.dirname(link))
    durable.replace_link(link, os.path.relpath(os.path.realpath(path), folder))


def current_path(layout: Layout, bundle: str) -> Optional[str]:
    """Return the directory of the release in use, or None."""
    link = layout.current(bundle)
    return os.path.realpath(link) if os.path.islink(link) else None


def installed_bundles(layout: Layout) -> Tuple[str, ...]:
    """Return the names of the bundles that have a release in use."""
    folder = os.path.dirname(layout.current("x"))
    if not os.path.isdir(folder):
        return ()
    # A switch that was cut off leaves a link with a name that no bundle can have.
    names = filter(is_label, os.listdir(folder))
    return tuple(sorted(n for n in names if os.path.islink(layout.current(n))))


def releases_of(layout: Layout, bundle: str) -> Tuple[Release, ...]:
    """Return all whole releases of a bundle on this host."""
    folder = os.path.realpath(os.path.join(layout.releases, bundle))
    names = release_names(layout, bundle)
    return tuple(read_release(os.path.join(folder, name)) for name in names)


def release_names(layout: Layout, bundle: str) -> Tuple[str, ...]:
    """Return the names of the directories of a bundle's whole releases."""
    folder = os.path.join(layout.releases, bundle)
    if not os.path.isdir(folder):
        return ()
    names = (name for name in os.listdir(folder) if not name.startswith("."))
    return tuple(sorted(n for n in names if os.path.isdir(os.path.join(folder, n))))


def bundles_with_releases(layout: Layout) -> Tuple[str, ...]:
    """Return the names of the bundles that have a whole release, in use or not."""
    if not os.path.isdir(layout.releases):
        return ()
    names = filter(is_label, os.listdir(layout.releases))
    return tuple(sorted(name for name in names if release_names(layout, name)))


def all_releases(layout: Layout) -> Tuple[Release, ...]:
    """Return all whole releases of all bundles."""
    names = bundles_with_releases(layout)
    return tuple(release for name in names for release in releases_of(layout, name))


def choose(layout: Layout, bundle: Optional[str]) -> Release:
    """Return the release in use of the named bundle, or of the only one there is."""
    name = choose_name(layout, bundle)
    return read_release(os.path.realpath(layout.current(name)))


def choose_name(layout: Layout, bundle: Optional[str]) -> str:
    """Return the name of the bundle that is meant; its release may be damaged."""
    names = installed_bundles(layout)
    if bundle is None and len(names) == 1:
        bundle = names[0]
    if bundle is None or bundle not in names:
        installed = ", ".join(names) or "nothing"
        wanted = f"{bundle} is not installed" if bundle else "name a bundle"
        raise NotInstalledError(
            f"{wanted} ({installed} is installed below {layout.state})",
            hint="Give the name of an installed bundle, or the --state-dir it was "
            "installed with.",
        )
    return bundle


def read_release(path: str) -> Release:
    """Read an installed release. Its signature is not checked here: audit does.

    Raises DriftError for files that can no longer be read as what they were.
    """
    manifest = durable.read_file(os.path.join(path, MANIFEST_NAME))
    record = durable.read_file(os.path.join(path, RECORD_NAME))
    if manifest is None or record is None:
        raise NotInstalledError(
            f"{path} is not a whole release",
            hint="Install the bundle again.",
        )
    where = os.path.join(path, RECORD_NAME)
    try:
        return Release(
            path,
            parse_manifest(manifest, os.path.join(path, MANIFEST_NAME)),
            records.decode(ReleaseRecord, strictjson.load(record, where), where),
        )
    except ManifestError as error:
        raise DriftError(
            f"a file of the release was changed: {error.message}",
            hint="Do not serve it. Find out who changed it; then run install --repair "
            "with the bundle.",
        ) from error


def open_release(path: str, trust: Trust, now: datetime) -> Tuple[Media, Bundle]:
    """Open the signed files of a release as a bundle without packs, verified."""
    media = Media([path])
    try:
        return media, open_bundle(media, trust, now)
    except BaseException:
        media.close()
        raise


def check_serial(layout: Layout, bundle: Bundle, *, allow_downgrade: bool) -> None:
    """Raise DowngradeError if this host has had a higher serial of this bundle.

    The release in use was accepted before, so it may be repaired at any time.
    """
    name = bundle.manifest.name
    had = _highest_serial(layout, name)
    serial = bundle.manifest.serial
    if had is None or allow_downgrade or serial > had.serial:
        return
    if serial == had.serial and bundle.root == had.root:
        return
    release = layout.release(bundle.manifest, bundle.root)
    if os.path.realpath(release) == current_path(layout, name):
        return
    what = "a lower serial" if serial < had.serial else "the same serial"
    raise DowngradeError(
        f"{bundle.manifest.name} {bundle.manifest.version} has {what} ({serial}) than "
        f"the one this host has had ({had.serial}), and is not that bundle",
        hint="An older bundle may bring back faults that were mended. If it is meant, "
        "run install again with --allow-downgrade REASON; the reason is logged.",
    )


def _highest_serial(layout: Layout, name: str) -> Optional[Serial]:
    """Return the highest serial written down or in use, should one of them be lost.

    An install that was cut off after the switch has not written its serial down yet.
    """
    had, path = read_serial(layout, name), current_path(layout, name)
    try:
        record = read_release(path).record if path else None
    except SealiftError:
        return had  # The audit tells of it, and a repair must stay possible.
    if record is None or (had is not None and had.serial >= record.serial):
        return had
    return Serial(record.serial, record.root)


def read_serial(layout: Layout, name: str) -> Optional[Serial]:
    """Return the highest serial this host has had of a bundle."""
    path = layout.serial(name)
    data = durable.read_file(path)
    if data is None:
        return None
    return records.decode(Serial, strictjson.load(data, path), path)


def is_new_serial(layout: Layout, bundle: Bundle) -> bool:
    """Say whether this host has not had this serial of the bundle, or a higher one."""
    had = read_serial(layout, bundle.manifest.name)
    return had is None or bundle.manifest.serial > had.serial


def write_serial(layout: Layout, bundle: Bundle) -> None:
    """Remember the serial of a bundle that is installed.

    After a downgrade the higher serial stays: what this host has had, it has had.
    """
    if not is_new_serial(layout, bundle):
        return
    path = layout.serial(bundle.manifest.name)
    value = Serial(bundle.manifest.serial, bundle.root)
    durable.make_directories(os.path.dirname(path))
    durable.replace_file(path, strictjson.dump(records.encode(value)), 0o644)
