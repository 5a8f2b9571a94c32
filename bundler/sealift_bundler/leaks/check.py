"""Stop a build for secrets in an image, a model or a stack; all of them at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from sealift_manifests.errors import SourceContentError

from sealift_bundler.insides.layers import LayerView
from sealift_bundler.models.files import ModelFile

from .rules import MOST_TEXT, Leak, leaks_in

_SHOWN = 20


def check_image(
    name: str, config: bytes, views: Sequence[LayerView], allowed: Sequence[str]
) -> None:
    """Raise SourceContentError for secrets in an image's config, history or layers.

    `allowed` are patterns of paths in the layers that were looked at by people.
    """
    found = [str(leak) for leak in sorted(_config_leaks(config))]
    for number, view in enumerate(views, start=1):
        found += [
            f"layer {number}: {leak}" for leak in _not_allowed(view.leaks, allowed)
        ]
    _refuse(
        f"image {name}",
        found,
        "Take it out and build the image again: a layer keeps what a later one "
        "removes. In a RUN, read it with --mount=type=secret. Then replace the secret: "
        "whoever has the image has it.",
    )


def check_model(name: str, files: Iterable[ModelFile], allowed: Sequence[str]) -> None:
    """Raise SourceContentError for secrets in the small files of a model."""
    found: set[Leak] = set()
    for file in files:
        if 0 < file.size <= MOST_TEXT:
            found |= leaks_in(file.path, file.read_start(MOST_TEXT))
    _refuse(
        f"model {name}",
        [str(leak) for leak in _not_allowed(found, allowed)],
        "Take it out, or leave the file out with `ignore`. Then replace the secret.",
    )


def check_volume(name: str, found: Iterable[Leak], allowed: Sequence[str]) -> None:
    """Raise SourceContentError for secrets that were found in a volume of data."""
    _refuse(
        f"volume {name}",
        [str(leak) for leak in _not_allowed(found, allowed)],
        "A bundle is signed and not encrypted. Remove it from the data, then replace "
        "the secret.",
    )


def check_stack(files: Mapping[str, bytes]) -> None:
    """Raise SourceContentError for secrets in the stack's files, by their paths."""
    found = {leak for path, data in files.items() for leak in leaks_in(path, data)}
    _refuse(
        "the stack",
        [str(leak) for leak in sorted(found)],
        "A secret is given on the host, never in the bundle: declare it under "
        "`secrets:` in the spec, and let the service read its file. Then replace it.",
        may_allow=False,
    )


def _not_allowed(leaks: Iterable[Leak], allowed: Sequence[str]) -> list[Leak]:
    return [
        leak
        for leak in sorted(leaks)
        if not any(fnmatchcase(leak.path, pattern) for pattern in allowed)
    ]


def _config_leaks(config: bytes) -> Iterator[Leak]:
    for place, text in _texts("config", json.loads(config)):
        yield from leaks_in(place, text.encode("utf-8", "replace"))


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text of an image's config with its place; keys are texts too."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for number, held in enumerate(value, start=1):
            yield from _texts(f"{place}.{number}", held)
    elif isinstance(value, dict):
        for key, held in value.items():
            # A key may hold a secret itself: it is not part of the place then.
            shown = key if len(key) < 30 else "(a long key)"
            yield f"{place}.{shown}", key
            yield from _texts(f"{place}.{shown}", held)


def _refuse(
    what: str, found: Sequence[str], hint: str, *, may_allow: bool = True
) -> None:
    if not found:
        return
    lines = [f"  {line}" for line in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more")
    raise SourceContentError(
        f"{what} holds what looks like secrets:\n" + "\n".join(lines),
        hint=f"{hint} If you have looked and it is none, name its file under "
        "`not_secret`, beside the source in the spec."
        if may_allow
        else hint,
    )
