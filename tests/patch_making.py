"""A small bundle of which media have lost something, and patches for it, in process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import making
from making import Key, noise
from sealift_bundler.repair import Repair, repair
from sealift_bundler.report import Report
from sealift_bundler.signing import signer_from_key_file
from sealift_manifests.bundle import Bundle, open_bundle
from sealift_manifests.media import Media
from sealift_manifests.repair import REQUEST_TYPE, RepairRequest, dump, ranges_of
from sealift_manifests.trust import Trust

PACK = "data-0001.pack"
FILES = {f"w{n}.dat": noise(f"patch {n}", 1000 + n) for n in range(4)}


@dataclass(frozen=True)
class Shop:
    """A good bundle, the key that signed it, and another key."""

    good: Path
    key: Key
    stranger: Key

    @property
    def trust(self) -> Trust:
        return Trust.from_key_file(self.key.public.read_text(), "release.pub")

    def patch(self, folder: Path, request: RepairRequest, **changes: Any) -> Path:
        """Make the patch that answers a request."""
        return self.patch_for(folder, dump(request), **changes)

    def patch_for(self, folder: Path, request: bytes, **changes: Any) -> Path:
        """Make the patch that answers these bytes of a request."""
        making.write_files(folder, {"request.json": request})
        job = Repair(
            places=[str(self.good)],
            trust=self.trust,
            request_path=folder / "request.json",
            output=folder / "patches",
            signers=[signer_from_key_file(self.key.private, lambda _: b"")],
            now=datetime.now(UTC),
            part_size=8 << 20,
        )
        return repair(replace(job, **changes), Report(quiet=True)).path


@contextmanager
def opened(shop: Shop, *places: Path) -> Iterator[Bundle]:
    with Media([str(place) for place in places]) as media:
        yield open_bundle(media, shop.trust, datetime.now(UTC))


def a_request(bundle: Bundle, numbers: Any, *files: str) -> RepairRequest:
    manifest = bundle.manifest
    head = (1, REQUEST_TYPE, manifest.name, manifest.version, bundle.root)
    return RepairRequest(*head, ranges_of(numbers), files)
