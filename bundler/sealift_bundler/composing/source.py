"""What a stack is read from, and what comes of it before it is checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift_manifests.errors import SpecError

from sealift_bundler import strictyaml
from sealift_bundler.strictyaml import Document, Fault

from .files import Reader
from .nodes import document_of
from .others import lost_services
from .profiles import choose
from .variables import Filling, read_env

ENV_NAME = ".env"


@dataclass(frozen=True)
class Source:
    """A stack as read: the document that is left, and what is wrong with it.

    `texts` is what it was made of, by file; of `.env` only what was used. `left_out`
    has the services of profiles that are not taken.
    """

    document: Document
    faults: tuple[Fault, ...]
    texts: Mapping[str, bytes]
    left_out: Mapping[str, Mapping[str, Any]]


def read_stack(
    paths: Sequence[Path],
    profiles: Collection[str] = (),
    left_open: Collection[str] = (),
) -> Source:
    """Read a stack's Compose files, with `.env` beside the first.

    `left_open` are variables that stay, since each host gives them its value.
    """
    where = _distinct(paths)
    directory = paths[0].absolute().parent
    reader = Reader(directory.resolve())
    root = reader.stack([path.absolute() for path in paths])
    document = document_of(root, where)
    values = _values(directory / ENV_NAME, left_open)
    filling = Filling(values, left_open)
    value = filling.fill(document.value)
    chosen = choose(value, profiles)
    texts = {name: path.read_bytes() for name, path in reader.read.items()}
    if filling.used:
        lines = (f"{name}={values[name]}\n" for name in sorted(filling.used))
        texts[ENV_NAME] = "".join(lines).encode("utf-8")
    return Source(
        Document(where, chosen.value, document.lines, document.files),
        (*chosen.faults, *lost_services(chosen.value, chosen.left_out)),
        texts,
        chosen.left_out,
    )


def _values(env: Path, left_open: Collection[str]) -> dict[str, str]:
    return read_env(strictyaml.read_text(env), left_open) if env.is_file() else {}


def _distinct(paths: Sequence[Path]) -> str:
    """Return the names of the files, for people; each must have its own."""
    names = [path.name for path in paths]
    if len(set(names)) != len(names):
        raise SpecError(
            f"two Compose files of the stack have one name: {', '.join(names)}",
            hint="Give each of them its own name.",
        )
    return ", ".join(names)
