"""Image references, read the way Docker reads them.

Text to value and back; nothing here asks a registry whether the image exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Optional, Tuple

from sealift_manifests.digests import Digest
from sealift_manifests.errors import SpecError

DOCKER_HUB = "docker.io"
_OFFICIAL = "library/"
_LONGEST_REPOSITORY = 255
_LONGEST_TAG = 128

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:\[[0-9a-fA-F:]+\]|{_LABEL}(?:\.{_LABEL})*)(?::[0-9]+)?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{_LONGEST_TAG - 1}}}")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class ImageReference:
    """Where an image is to be found: a registry, a repository, a tag or digest."""

    registry: str
    repository: str
    tag: Optional[str] = None
    digest: Optional[Digest] = None

    def __post_init__(self) -> None:
        if not _REGISTRY.fullmatch(self.registry):
            raise ValueError(f"{self.registry!r} is not a registry host")
        if not _REPOSITORY.fullmatch(self.repository):
            raise ValueError(f"{self.repository!r} is not a repository name")
        if len(self.repository) > _LONGEST_REPOSITORY:
            raise ValueError(f"a repository of {len(self.repository)} characters")
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise ValueError(f"{self.tag!r} is not a tag")

    def __str__(self) -> str:
        return self.familiar

    @property
    def qualified(self) -> str:
        """The name that leaves nothing to defaults but an absent tag."""
        return f"{self.registry}/{self.repository}{self._suffix}"

    @property
    def familiar(self) -> str:
        """The name as people write it: without what Docker would put back."""
        if self.registry != DOCKER_HUB:
            return self.qualified
        short = self.repository
        if short.startswith(_OFFICIAL):
            short = short[len(_OFFICIAL) :]
        for name in (short, self.repository):
            if _normalised(name) == (self.registry, self.repository):
                return name + self._suffix
        return self.qualified

    @property
    def is_pinned(self) -> bool:
        """Whether the reference means the same bytes for ever."""
        return self.digest is not None

    @property
    def is_latest(self) -> bool:
        """Whether the reference follows `latest`, said or by default."""
        return not self.is_pinned and self.tag in (None, "latest")

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest, or else the tag."""
        return self.digest or self.tag or "latest"

    def pinned_to(self, digest: Digest) -> ImageReference:
        """Return the same name with this digest."""
        return replace(self, digest=digest)

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return tag + (f"@{self.digest}" if self.digest is not None else "")


def parse_reference(text: str) -> ImageReference:
    """Read a reference such as `nginx:1.27` or `localhost:5000/app@sha256:...`."""
    try:
        return read_reference(text)
    except ValueError as error:
        raise SpecError(
            f"{text[:300]!r} is not an image reference: {error}",
            hint="Write it as [HOST[:PORT]/]NAME:TAG or [HOST[:PORT]/]NAME@sha256:HEX,"
            " the name in lower case.",
        ) from error


def read_reference(text: str) -> ImageReference:
    """Do what `parse_reference` does; raise ValueError saying what is wrong."""
    named, at, digest = text.partition("@")
    if _IDENTIFIER.fullmatch(named):
        raise ValueError("64 hex digits are an image ID, not a name")
    slash = named.rfind("/")
    name, colon, tag = named[slash + 1 :].partition(":")
    registry, repository = _normalised(named[: slash + 1] + name)
    return ImageReference(
        registry=registry,
        repository=repository,
        tag=tag if colon else None,
        digest=Digest(digest) if at else None,
    )


def qualify(text: str) -> str:
    """Return a reference with registry and tag said: `redis` with :latest added."""
    found = read_reference(text)
    if found.tag is None and found.digest is None:
        found = replace(found, tag="latest")
    return found.qualified


def unique_reference(reference: str, manifest: Digest) -> str:
    """Return the tag an image is loaded under: no two images share it.

    The digest goes into the tag, since engines with graph drivers forget the
    digests of loaded images, and a name with a digest could not be started there.
    """
    found = read_reference(reference)
    suffix = f"-{manifest.short}"
    kept = (found.tag or "pinned")[: _LONGEST_TAG - len(suffix)]
    return replace(found, tag=kept + suffix, digest=None).qualified


def _normalised(name: str) -> Tuple[str, str]:
    """Split registry from repository, with Docker's defaults filled in."""
    first, slash, rest = name.partition("/")
    if not slash or not _looks_like_a_host(first):
        first, rest = DOCKER_HUB, name
    if first == "index.docker.io":
        first = DOCKER_HUB
    if first == DOCKER_HUB and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest


def _looks_like_a_host(first: str) -> bool:
    has_mark = "." in first or ":" in first
    return has_mark or first == "localhost" or first != first.lower()
