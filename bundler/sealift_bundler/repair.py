"""Make a signed patch: the chunks and small files that a host asks for, and no more.

The patch is a directory with a SHA256SUMS and signatures of its own. It appears under
its name when it is whole and synced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import OutputError, PayloadError
from sealift_manifests.measured_patch import measure_patch
from sealift_manifests.media import PATCH_NAME, Media
from sealift_manifests.model import FORMAT
from sealift_manifests.parallel import ordered_map
from sealift_manifests.patch import open_patch
from sealift_manifests.repair import (
    MAX_REPAIR_DOCUMENT,
    PATCH_TYPE,
    PatchList,
    RepairRequest,
    dump,
    parse_request,
)
from sealift_manifests.sums import SUMS_NAME, format_sums
from sealift_manifests.trust import Trust

from sealift_bundler.documents import read_named
from sealift_bundler.patch_output import PatchPacks, new_directory, write_file
from sealift_bundler.report import Report
from sealift_bundler.signing import Signer, sign_sums


@dataclass(frozen=True)
class Repair:
    """What to mend and how: a good bundle, a request, and where the patch is put.

    `part_size` is the largest pack of the patch, in bytes.
    """

    places: Sequence[str]
    trust: Trust
    request_path: Path
    output: Path
    signers: Sequence[Signer]
    now: datetime
    part_size: int


@dataclass(frozen=True)
class Repaired:
    """A finished patch: where it is, the root it mends, what it brings (bytes)."""

    path: Path
    listed: PatchList

    @property
    def size(self) -> int:
        """Bytes of stored chunks."""
        return sum(pack.size for pack in self.listed.packs)


def repair(job: Repair, report: Report) -> Repaired:
    """Write the patch that the request asks for; nothing unverified gets into it."""
    data = _read(job.request_path)
    request = parse_request(data, str(job.request_path))
    with Media(job.places) as media:
        bundle = open_bundle(media, job.trust, job.now)
        numbers = _checked(request, bundle, job.request_path)
        asked = digest_of(data).short[:8]
        named = f"{bundle.manifest.name}-{bundle.manifest.version}"
        path = job.output / f"{named}-patch-{asked}"
        with new_directory(path) as folder:
            packs = _write_packs(folder, bundle, numbers, job.part_size, report)
            listed = PatchList(
                format=FORMAT,
                type=PATCH_TYPE,
                name=bundle.manifest.name,
                version=bundle.manifest.version,
                root=bundle.root,
                packs=tuple(packs.packs),
                chunks=tuple(packs.chunks),
                files=request.files,
            )
            _write_files(folder, bundle, listed, packs.digests, job.signers)
            _read_back(folder, bundle, job)
    return Repaired(path, listed)


def _read(path: Path) -> bytes:
    hint = "Name the file that `sealift-installer repair-request` wrote."
    data = read_named(path, MAX_REPAIR_DOCUMENT, hint=hint)
    if len(data) > MAX_REPAIR_DOCUMENT:
        raise PayloadError(f"{path} is larger than a request can be", hint=hint)
    return data


def _checked(request: RepairRequest, bundle: Bundle, path: Path) -> list[int]:
    """Return the chunks asked for, or raise what is wrong with asking for them."""
    manifest = bundle.manifest
    if request.root != bundle.root:
        raise PayloadError(
            f"{path} asks for {request.name} {request.version} with the root "
            f"{request.root.short}; this is {manifest.name} {manifest.version} with "
            f"the root {bundle.root.short}",
            hint="Name the bundle that the host has: its root is in its SHA256SUMS. A "
            "bundle that was built again is another one.",
        )
    last = request.chunks[-1][1] if request.chunks else 0
    stored = sum(not chunk.is_base for chunk in bundle.index.chunks)
    strange = [name for name in request.files if name not in bundle.small_files]
    if last > stored or strange:
        what = strange[0] if strange else f"chunk {last - 1}"
        raise PayloadError(
            f"{path} asks for {what}, which the bundle has not",
            hint="The request was damaged on its way. Write it again on the host.",
        )
    return list(request.numbers())


def _write_packs(
    folder: Path, bundle: Bundle, numbers: list[int], part_size: int, report: Report
) -> PatchPacks:
    """Write the chunks, each verified."""
    total = sum(bundle.index.chunks[number].stored_size for number in numbers)
    packs = PatchPacks(folder, part_size)
    with report.progress("writing the patch", total) as progress:
        expected = map(bundle.expect, numbers)
        stored = ordered_map(lambda number: _stored(bundle, number), expected)
        for number, data in zip(numbers, stored, strict=True):
            packs.add(number, data)
            progress(len(data))
        packs.close()
    return packs


def _write_files(
    folder: Path,
    bundle: Bundle,
    listed: PatchList,
    packs: Mapping[str, Digest],
    signers: Sequence[Signer],
) -> None:
    """Write the small files, the list of the patch, SHA256SUMS and the signatures."""
    files = {name: bundle.document(name) for name in listed.files}
    files[PATCH_NAME] = dump(listed)
    digests = {name: digest_of(data) for name, data in files.items()}
    files[SUMS_NAME] = sums = format_sums({**digests, **packs})
    files |= sign_sums(sums, signers)
    for name, data in sorted(files.items()):
        write_file(folder / name, data)


def _read_back(folder: Path, bundle: Bundle, job: Repair) -> None:
    """Verify the patch as a host would, from the disk, not from the cache."""
    keys = [signer.public_key.fingerprint for signer in job.signers]
    with Media([*job.places, str(folder)]) as media:
        (patch,) = media.patches
        patch.drop_cache()
        opened = open_patch(patch, bundle.root, Trust.from_fingerprints(keys), job.now)
        found = measure_patch(bundle, opened, lambda size: None)
    if found.damages:
        raise OutputError(
            f"what was written is not what is read back: {found.damages[0]}",
            hint="The disk is failing. Choose another place with -o.",
        )


def _stored(bundle: Bundle, number: int) -> bytearray:
    data = bytearray(bundle.index.chunks[number].stored_size)
    bundle.read_stored(number, memoryview(data))
    return data
