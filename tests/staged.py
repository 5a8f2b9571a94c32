"""Stage files of a bundle by themselves, without the rest of an install."""

from __future__ import annotations

import io
from collections.abc import Iterable

from sealift_installer.layout import Layout
from sealift_installer.losses import error_of
from sealift_installer.progress import PLAIN, Meter
from sealift_installer.staging import Staging
from sealift_manifests.bundle import Bundle
from sealift_manifests.index import Content


class Told(Meter):
    """Adds up what it is told, and says it to nobody."""

    def __init__(self) -> None:
        super().__init__("staging", 0, io.StringIO(), PLAIN)
        self.sizes: list[int] = []
        self.items: list[str] = []

    def __call__(self, size: int) -> None:
        """Note the bytes."""
        self.sizes.append(size)

    def at(self, item: str) -> None:
        """Note the file."""
        self.items.append(item)


def stage(
    layout: Layout,
    bundle: Bundle,
    contents: Iterable[Content],
    told: Told | None = None,
) -> int:
    """Stage what the media have; return the bytes that were dealt with.

    Raises the error that an install raises for what they do not have whole.
    """
    told = told or Told()
    with Staging(layout, bundle.index, contents) as staging:
        staging.run(bundle, staging.plan(bundle), told)
        lost = staging.missing()
    if lost:
        raise error_of(bundle, lost, hint="{names}.")
    return sum(told.sizes)
