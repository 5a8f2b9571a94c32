"""Which files of a model are carried: patterns of the spec."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from sealift_manifests.errors import SpecError


class Named(Protocol):
    """A file with a path below the root of its model."""

    @property
    def path(self) -> str:
        """The path, with `/` between its parts."""


File = TypeVar("File", bound=Named)


def select(
    files: Iterable[File],
    allow: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
) -> tuple[File, ...]:
    """Keep the files that match `allow` (all, without it) and none of `ignore`.

    The Hub client's own patterns: `*` crosses `/`, and `name/` means what is in it.
    """
    chosen = _filtered(files, allow, ignore) if allow or ignore else tuple(files)
    if not chosen:
        raise SpecError(
            f"no file is left after allow={list(allow or ())} and "
            f"ignore={list(ignore or ())}",
            hint="Compare the patterns with the file list on the model's page; they "
            "are case-sensitive and match the whole path.",
        )
    return chosen


def _filtered(
    files: Iterable[File], allow: Sequence[str] | None, ignore: Sequence[str] | None
) -> tuple[File, ...]:
    # Imported when it is needed: it takes 0.15 s.
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        filter_repo_objects,
    )

    return tuple(
        filter_repo_objects(
            files,
            allow_patterns=list(allow) if allow else None,
            ignore_patterns=list(ignore) if ignore else None,
            key=lambda file: file.path,
        )
    )
