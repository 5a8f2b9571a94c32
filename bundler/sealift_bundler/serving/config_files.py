"""The file that `vllm serve --config` reads, as the options it stands for.

Only a file that the stack carries can be read here; of any other nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import join, normpath
from typing import Any

from sealift_manifests.errors import SpecError

from sealift_bundler import strictyaml
from sealift_bundler.compose import Stack
from sealift_bundler.compose_check import read_volume
from sealift_bundler.strictyaml import Plain

from .words import Word, resolved


def mounted_files(stack: Stack, service: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files of the stack that a service sees, by their path in it."""
    found = {}
    for written in service.get("volumes") or []:
        volume = read_volume(written)
        source = stack.file(volume.file) if volume and volume.file else None
        target = resolved(volume.target) if volume else None
        if source and target:
            found[normpath(target)] = source
    return found


def option_words(
    named: Word, folder: str, files: Mapping[str, Path]
) -> tuple[Word, ...] | None:
    """Return the options in the file that is `named`, below `folder` if relative.

    None where it is not among `files`, or is not what vLLM takes.
    """
    source = files.get(normpath(join(folder, named))) if named else None
    if source is None:
        return None
    try:
        if source.stat().st_size > strictyaml.MAX_TEXT:
            return None
        value = strictyaml.parse(strictyaml.read_text(source), source.name).value
    except (OSError, SpecError):
        return None
    return tuple(_words(value)) if isinstance(value, Mapping) else None


def _words(value: Mapping[str, Any]) -> Iterator[str]:
    for key, held in value.items():
        if isinstance(held, Plain) and held.kind == "bool":
            is_on = held.lower() in ("true", "yes", "on")
            yield f"--{key}" if is_on else f"--no-{key}"
        elif isinstance(held, str):
            yield f"--{key}={held}"
        elif isinstance(held, list):
            yield f"--{key}"
            yield from (each for each in held if isinstance(each, str))
