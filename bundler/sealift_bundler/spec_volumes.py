"""The volumes of a bundle spec: data that goes along and is written to on the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from sealift_bundler.spec_values import LocalPath, Part, Texts


class VolumeSpec(Part):
    """A volume of data: one of the local engine, or a directory."""

    volume: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = None
    """A volume of the local engine, by its name."""
    path: LocalPath | None = None
    """A directory on this machine."""
    allow: Annotated[tuple[Literal["running"], ...], Field(strict=False)] = ()
    """`running`: read it though a container writes to it meanwhile."""
    not_secret: Texts = ()
    """Files that look as if they held secrets, and do not: patterns of paths."""

    @classmethod
    def key_faults(cls, value: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the keys that are given, whatever they hold."""
        if len({"volume", "path"} & set(value)) != 1:
            yield "give one of volume and path"
