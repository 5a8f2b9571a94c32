"""Which NVIDIA tables judge this host: the newest it has from anyone it trusts.

Those of this program, of the bundle at hand, and of the bundles installed here. A file
on its own is never taken: unsigned tables must not decide.
"""

from __future__ import annotations

from typing import Iterator, Optional

from sealift_manifests.bundle import Bundle, read_document, read_signatures
from sealift_manifests.errors import SealiftError
from sealift_manifests.media import Media
from sealift_manifests.preflight.newest import (
    MAX_TABLES,
    TABLES_NAME,
    ChosenTables,
    Offer,
    newest_tables,
)
from sealift_manifests.sums import MAX_SUMS, SUMS_NAME, parse_sums
from sealift_manifests.trust import check_signatures

from sealift_installer.host import Host
from sealift_installer.host_trust import host_trust
from sealift_installer.releases import current_path, installed_bundles


def tables_for(host: Host, bundle: Optional[Bundle] = None) -> ChosenTables:
    """Return the tables to judge this host by.

    Raises DigestMismatchError or PayloadError where those of the bundle at hand are
    not there as signed; what is wrong with others is a note.
    """
    offers = [] if bundle is None else list(_of_bundle(bundle))
    for name in installed_bundles(host.layout):
        try:
            offers += _of_release(host, name)
        except SealiftError as error:
            offers.append(Offer(f"installed {name}", fault=error.message))
    return newest_tables(offers)


def _of_bundle(bundle: Bundle) -> Iterator[Offer]:
    if TABLES_NAME in bundle.sums:
        manifest = bundle.manifest
        origin = f"bundle {manifest.name} {manifest.version}"
        yield Offer(origin, bundle.document(TABLES_NAME))


def _of_release(host: Host, name: str) -> Iterator[Offer]:
    """Yield the tables of the release in use, verified anew with the host's keys."""
    path = current_path(host.layout, name)
    with Media([path or ""]) as media:
        root = media.read(SUMS_NAME, MAX_SUMS)
        signatures = read_signatures(media)
        check_signatures(root, signatures, host_trust(host.layout), host.now())
        sums = parse_sums(root)
        if TABLES_NAME in sums:
            data = read_document(media, sums, TABLES_NAME, MAX_TABLES)
            yield Offer(f"installed {name}", data)
