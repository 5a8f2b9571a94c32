"""The file that `vllm serve --config` reads, as the options it stands for.

Only a file that the stack carries can be read here; of any other nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import normpath
from typing import Any

from sealift_manifests.errors import SpecError
from sealift_manifests.serving.words import resolved
from sealift_manifests.serving.written import literal

from sealift_bundler import strictyaml
from sealift_bundler.compose import Stack
from sealift_bundler.compose_check import read_volume
from sealift_bundler.strictyaml import Plain


def mounted_options(
    stack: Stack, service: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    """Return the options in files of the stack that a service sees, by path in it.

    Only where it names such a file: others are not looked into.
    """
    found: dict[str, tuple[str, ...]] = {}
    if not any("--config" in text for text in _texts(service)):
        return found
    for written in service.get("volumes") or []:
        volume = read_volume(written)
        source = stack.file(volume.file) if volume and volume.file else None
        target = resolved(volume.target) if volume else None
        if source and target:
            words = _option_words(source)
            if words is not None:
                found[normpath(target)] = words
    return found


def _texts(service: Mapping[str, Any]) -> Iterator[str]:
    for key in ("entrypoint", "command"):
        held = service.get(key)
        yield from map(str, held if isinstance(held, list) else [held])


def _option_words(source: Path) -> tuple[str, ...] | None:
    """Return the options in a file; None where it is not what vLLM takes."""
    try:
        if source.stat().st_size > strictyaml.MAX_TEXT:
            return None
        value = strictyaml.parse(strictyaml.read_text(source), source.name).value
    except (OSError, SpecError):
        return None
    return tuple(map(literal, _words(value))) if isinstance(value, Mapping) else None


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
