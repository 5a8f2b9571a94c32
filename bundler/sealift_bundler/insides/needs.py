"""What an image asks of a host: from its config, and from the files inside."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sealift_manifests.preflight.needs import CompatLibrary, ImageNeeds, Variable
from sealift_manifests.preflight.require import PREFIX
from sealift_manifests.preflight.tables import Tables

from .builds import Home, builds_of
from .layers import LIBRARY, Found

_CUDA_FOLDER = re.compile(r"/usr/local/cuda(?:-([0-9.]+))?(/compat.*)\Z")


@dataclass(frozen=True)
class ImageConfig:
    """What an image's config says about how it is run."""

    environment: Mapping[str, str]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    has_healthcheck: bool = False

    @classmethod
    def of(cls, inner: Mapping[str, Any]) -> ImageConfig:
        """Read the part `config` of an image config; what is odd is left out."""
        variables = (item.partition("=") for item in _texts(inner.get("Env")))
        return cls(
            {name: value for name, _, value in variables},
            _texts(inner.get("Entrypoint")),
            _texts(inner.get("Cmd")),
            str(inner.get("User") or ""),
            _checks_health(inner.get("Healthcheck")),
        )


def image_needs(name: str, platform: str, config: ImageConfig) -> ImageNeeds:
    """Return what the config of an image tells; what is inside is unknown."""
    environment = config.environment
    return ImageNeeds(
        name=name,
        platform=platform,
        cuda=environment.get("CUDA_VERSION", ""),
        requires=tuple(
            Variable(key, value)
            for key, value in sorted(environment.items())
            if key.startswith(PREFIX)
        ),
        disable_require=environment.get("NVIDIA_DISABLE_REQUIRE", ""),
        visible_devices=environment.get("NVIDIA_VISIBLE_DEVICES", ""),
    )


def with_insides(
    needs: ImageNeeds,
    config: ImageConfig,
    files: Mapping[str, Found] | None,
    tables: Tables,
    *,
    repository: str = "",
) -> ImageNeeds:
    """Return the needs with what the image's files tell; None: not all were seen.

    `repository`: where the image was pulled from, "" where it was not.
    """
    if files is None:
        return needs
    return replace(
        needs,
        compat=tuple(_libraries(files, config)),
        builds=builds_of(
            files, tables, Home(needs.platform or "", needs.cuda or "", repository)
        ),
    )


def _libraries(
    files: Mapping[str, Found], config: ImageConfig
) -> Iterator[CompatLibrary]:
    listed = [
        line.strip()
        for path, file in files.items()
        if path.startswith("etc/ld.so.conf")
        for line in file.text.splitlines()
    ]
    searched = config.environment.get("LD_LIBRARY_PATH", "").split(":")
    for path, file in sorted(files.items()):
        match = LIBRARY.match(path)
        if not match:
            continue
        folder = posixpath.dirname(f"/{path}")
        sources = (("ld.so.conf", listed), ("LD_LIBRARY_PATH", searched))
        yield CompatLibrary(
            path=f"/{path}",
            version=match[1],
            drivers=file.note.drivers if file.note else None,
            brands=file.note.brands if file.note else None,
            cuda=file.note.cuda if file.note else None,
            forced_by=tuple(
                source
                for source, folders in sources
                if any(_names(each, folder) for each in folders)
            ),
        )


def _names(written: str, folder: str) -> bool:
    """Tell whether a search path means a folder: cuda-12 and cuda are links to it."""
    if not written.startswith("/"):
        return False
    wanted, have = (
        _CUDA_FOLDER.match(posixpath.normpath(each)) for each in (written, folder)
    )
    if not wanted or not have:
        return posixpath.normpath(written) == folder
    version = wanted[1]
    return wanted[2] == have[2] and (
        version is None or f"{have[1] or version}.".startswith(f"{version}.")
    )


def _checks_health(value: Any) -> bool:
    test = value.get("Test") if isinstance(value, Mapping) else None
    return bool(test) and test != ["NONE"]


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(each for each in value if isinstance(each, str))
