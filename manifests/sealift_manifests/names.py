"""The names things have on the host: image references, volumes, the project.

Both sides must arrive at the same name from the same facts. Pure: asks no
engine and no registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional, Tuple

from sealift_manifests.digests import Digest

MAX_TAG = 128
"""The longest tag that engines and registries accept."""

DEFAULT_REGISTRY = "docker.io"

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*\Z")
_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"{_HOST_PART}(?:\.{_HOST_PART})*(?::[0-9]{{1,5}})?\Z")
_TAG = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MAX_TAG - 1}}}\Z")


@dataclass(frozen=True)
class Reference:
    """An image reference in parts, the registry always said."""

    registry: str
    path: str
    tag: Optional[str] = None
    digest: Optional[Digest] = None

    @property
    def repository(self) -> str:
        """Registry and path, without tag and digest."""
        return f"{self.registry}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.repository + tag + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Parse a reference the way Docker reads it: `redis` is docker.io/library/redis.

    Raises ValueError saying what is wrong. A missing tag stays missing.
    """
    name, at, digest_text = text.partition("@")
    tag: Optional[str] = None
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        name, tag = name[:colon], name[colon + 1 :]
        if not _TAG.match(tag):
            raise ValueError(f"{tag!r} is not an image tag")
    digest = Digest(digest_text) if at else None
    registry, path = _split_registry(name)
    if not _REGISTRY.match(registry):
        raise ValueError(f"{registry!r} is not a registry host")
    if not _PATH.match(path):
        raise ValueError(f"{path!r} is not an image name (lowercase, no spaces)")
    return Reference(registry, path, tag, digest)


def qualify(text: str) -> str:
    """Return a reference with registry and tag said: `redis` with :latest added."""
    found = parse_reference(text)
    if found.tag is None and found.digest is None:
        found = Reference(found.registry, found.path, "latest")
    return str(found)


def unique_reference(reference: str, manifest: Digest) -> str:
    """Return the tag an image is loaded under: no two images share it.

    The digest goes into the tag, since engines with graph drivers forget the
    digests of loaded images, and a name with a digest could not be started there.
    """
    found = parse_reference(reference)
    suffix = f"-{manifest.short}"
    kept = (found.tag or "pinned")[: MAX_TAG - len(suffix)]
    return f"{found.repository}:{kept}{suffix}"


def volume_name(bundle: str, model: str, tree: Digest) -> str:
    """Return the name of the volume that holds this tree of this model."""
    return f"sealift-{bundle}-{model}-{tree.short}"


def project_name(bundle: str) -> str:
    """Return the Compose project under which a bundle's stack runs."""
    return f"sealift-{bundle}"


def _split_registry(name: str) -> Tuple[str, str]:
    first, slash, rest = name.partition("/")
    says_host = "." in first or ":" in first or first == "localhost"
    if not slash or not says_host:
        path = name if slash else f"library/{name}"
        return DEFAULT_REGISTRY, path
    if first == "index.docker.io":
        first = DEFAULT_REGISTRY
    if first == DEFAULT_REGISTRY and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest
