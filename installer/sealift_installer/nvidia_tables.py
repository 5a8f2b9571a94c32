"""Which NVIDIA tables judge this host: the newest it has from anyone it trusts.

Those of this program, of the bundle at hand, and of the bundles installed here. A file
on its own is never taken: unsigned tables must not decide.
"""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence

from sealift_manifests.bundle import Bundle
from sealift_manifests.errors import SealiftError
from sealift_manifests.preflight.newest import (
    TABLES_NAME,
    ChosenTables,
    Offer,
    newest_tables,
)

from sealift_installer.host import Host
from sealift_installer.host_trust import host_trust
from sealift_installer.releases import current_path, installed_bundles, open_release


def tables_for(host: Host, bundle: Optional[Bundle] = None) -> ChosenTables:
    """Return the tables to judge this host by.

    Raises DigestMismatchError or PayloadError where those of the bundle at hand are
    not there as signed; what is wrong with others is a note.
    """
    offers: List[Offer] = []
    if bundle:
        manifest = bundle.manifest
        offers += _of_bundle(bundle, f"bundle {manifest.name} {manifest.version}")
    for name in installed_bundles(host.layout):
        try:
            offers += _of_release(host, name)
        except SealiftError as error:
            offers.append(Offer(f"installed {name}", fault=error.message))
    return newest_tables(offers)


def _of_bundle(bundle: Bundle, origin: str) -> Iterator[Offer]:
    if TABLES_NAME in bundle.sums:
        yield Offer(origin, bundle.document(TABLES_NAME))


def _of_release(host: Host, name: str) -> Sequence[Offer]:
    """Return the tables of the release in use, verified anew with the host's keys."""
    path = current_path(host.layout, name) or ""
    media, bundle = open_release(path, host_trust(host.layout), host.now())
    with media:
        return list(_of_bundle(bundle, f"installed {name}"))
