"""Re-measure what is installed against the signed manifest; say all that drifted.

Covers the release's signed files, every file of every weight tree (hashed from
disk), the volumes that show them, and the images. An image's identity is always
checked; with `deep` its layers are read back out of the engine and hashed. Volumes
of data must be there; what is in them is the site's, and meant to change.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Dict, Iterator, List, Optional, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import DriftError, SealiftError
from sealift_manifests.model import Manifest
from sealift_manifests.model_entries import ModelEntry
from sealift_manifests.names import volume_name
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.trees import tree_of
from sealift_manifests.trust import Trust

from sealift_installer import durable, releases, trees
from sealift_installer.data_volumes import data_faults
from sealift_installer.host import Host
from sealift_installer.image_audit import audit_image
from sealift_installer.images import prove_image
from sealift_installer.measure import bad_files
from sealift_installer.releases import Release
from sealift_installer.volumes import volume_fault

_SHOWN = 20


@dataclass(frozen=True)
class Drift:
    """One thing that is not as signed. `kind`: missing, changed or extra."""

    kind: str
    what: str
    where: str

    def __str__(self) -> str:
        """Return it in one line, for people."""
        return f"{self.kind}: {self.what}: {self.where}"


@dataclass(frozen=True)
class AuditResult:
    """What was measured, and all that drifted."""

    manifest: Manifest
    drift: Tuple[Drift, ...]
    files: int
    size: int
    images: int
    deep: bool

    def require_clean(self) -> None:
        """Raise DriftError if anything drifted."""
        if not self.drift:
            return
        lines = [str(one) for one in self.drift[:_SHOWN]]
        if len(self.drift) > _SHOWN:
            lines.append(f"and {len(self.drift) - _SHOWN} more (--json lists all)")
        raise DriftError(
            f"{self.manifest.name} {self.manifest.version} is not what was signed:\n"
            + "\n".join(lines),
            drift=self.drift,
            hint="Do not serve it. Find out who changed it; then run install --repair "
            "with the bundle, which brings back what was signed.",
        )


def audit(
    host: Host, release: Release, trust: Trust, *, deep: bool, measure: bool = True
) -> AuditResult:
    """Measure a release. Raises DriftError at once if its signed files are not good.

    Without `measure` everything is looked at but the bytes of the weights, which is
    a matter of seconds.
    """
    bundle = _open(release, trust, _installed(release))
    manifest = bundle.manifest
    _require_place(host, release, bundle)
    drift = list(_release_drift(release, bundle))
    files, size = 0, 0
    for model in manifest.models:
        drift += _model_drift(host, bundle, model, measure=measure)
        files, size = files + len(model.files), size + model.size
    # The record is not signed, so it must not decide what is left out.
    in_engine = manifest.images or manifest.stack or manifest.volumes
    if release.record.engine or in_engine:
        host.engine.facts()
        drift += [Drift(*fault) for fault in data_faults(host, manifest)]
        drift += _volume_drift(host, manifest)
        drift += _image_drift(host, manifest, deep=deep)
    images = len(manifest.images)
    return AuditResult(manifest, tuple(drift), files, size, images, deep)


def _installed(release: Release) -> datetime:
    text = release.record.installed
    try:
        found = datetime.strptime(text, releases.TIME)
    except ValueError as error:
        raise DriftError(
            f"the release's {releases.RECORD_NAME} has no time of its install: "
            f"{text!a:.80}",
            hint="Find out who changed it; then run install --repair with the bundle.",
        ) from error
    return found.replace(tzinfo=timezone.utc)


def _require_place(host: Host, release: Release, bundle: Bundle) -> None:
    """Refuse a release that lies where another one belongs, though signed itself."""
    own = host.layout.release(bundle.manifest, bundle.root)
    if os.path.realpath(own) == release.path and release.record.root == bundle.root:
        return
    raise DriftError(
        f"{release.path} holds {bundle.manifest.name} {bundle.manifest.version} "
        f"({bundle.root.short}), which is not the release that was installed there",
        hint="Do not serve it. Find out who changed it; then install the bundle "
        "that is wanted again.",
    )


def _open(release: Release, trust: Trust, then: datetime) -> Bundle:
    """Open the release's signed files, at the time at which they were accepted."""
    try:
        media, bundle = releases.open_release(release.path, trust, then)
    except SealiftError as error:
        raise DriftError(
            f"the signed files of the release do not verify: {error.message}",
            hint="Do not serve it. Find out who changed it; then install the bundle "
            f"again. ({error.hint})",
        ) from error
    with media:
        for name in bundle.small_files:
            _check_document(bundle, name)
        return bundle


def _check_document(bundle: Bundle, name: str) -> None:
    try:
        bundle.document(name)
    except SealiftError as error:
        raise DriftError(
            f"a signed file of the release is not what was signed: {error.message}",
            hint="Do not serve it. Find out who changed it; then install the bundle "
            "again.",
        ) from error


def _release_drift(release: Release, bundle: Bundle) -> Iterator[Drift]:
    stack = bundle.manifest.stack
    folder = releases.STACK_FOLDER
    expected: Dict[str, Digest] = (
        {f"{folder}/{entry.path}": entry.digest for entry in stack.files}
        if stack
        else {}
    )
    known = {*expected, *bundle.sums, *bundle.signatures, SUMS_NAME}
    found = dict(trees.walk(release.path))
    for path in found:
        if path not in known and path != releases.RECORD_NAME:
            what = "stack" if path.startswith(f"{folder}/") else "release"
            yield Drift("extra", what, os.path.join(release.path, path))
    for path, digest in expected.items():
        place = os.path.join(release.path, path)
        if path not in found:
            yield Drift("missing", "stack", place)
            continue
        is_file = stat.S_ISREG(found[path].st_mode)
        if not is_file or digest_of(durable.read_file(place) or b"") != digest:
            yield Drift("changed", "stack", place)


def _model_drift(
    host: Host, bundle: Bundle, model: ModelEntry, *, measure: bool
) -> List[Drift]:
    root = host.layout.tree(model)
    faults, sound = trees.compare_names(root, model)
    contents = {e.path: e.content for e in tree_of(model) if e.content is not None}
    files = [(os.path.join(root, p), contents[p]) for p in sound if p in contents]
    bad = _measured(host, bundle, model, files) if measure else ()
    drifted = {os.path.join(root, path): kind for path, kind in faults.items()}
    drifted.update(dict.fromkeys(bad, "changed"))
    return [
        Drift(
            kind, _model_words(model, contents.get(os.path.relpath(path, root))), path
        )
        for path, kind in sorted(drifted.items())
    ]


def _measured(
    host: Host, bundle: Bundle, model: ModelEntry, files: List[Tuple[str, Digest]]
) -> Tuple[str, ...]:
    """Return those of the files whose bytes are not what was signed."""
    total = sum(bundle.index.contents[digest].size for _, digest in files)
    with host.report.progress(f"measuring model {model.name}", total) as progress:
        return tuple(bad_files(bundle.index, files, progress))


def _model_words(model: ModelEntry, digest: Optional[Digest]) -> str:
    """Return the model's name, and in a Hub cache those of the blob's files."""
    names = [file.path for file in model.files if file.digest == digest]
    if model.layout == "flat" or not names:
        return f"model {model.name}"
    return f"model {model.name} ({', '.join(names)})"


def _volume_drift(host: Host, manifest: Manifest) -> Iterator[Drift]:
    for model in manifest.models:
        name = volume_name(manifest.name, model.name, model.tree)
        fault = volume_fault(host.engine, name, host.layout.tree(model))
        if fault:
            kind = "missing" if "has no volume" in fault else "changed"
            yield Drift(kind, f"volume of model {model.name}", fault)


def _image_drift(host: Host, manifest: Manifest, *, deep: bool) -> Iterator[Drift]:
    for image in manifest.images:
        fault = prove_image(host.engine, image)
        if fault:
            kind = "missing" if "has no image" in fault else "changed"
            yield Drift(kind, f"image {image.name}", fault)
        elif deep:
            host.report.step(f"reading image {image.name} back out of the engine")
            for each in audit_image(host.engine, image):
                yield Drift("changed", f"image {image.name}", each)
