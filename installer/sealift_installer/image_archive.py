"""The image archive that every engine loads, written as it is read.

An OCI layout with one descriptor, plus the manifest.json of `docker save`: Docker
20.10 to 29 on both image stores, Podman and containerd take it. The manifest from
the registry goes in unchanged, so its digest stays true. Pure: opens nothing.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterator, List, Tuple

from sealift_manifests import ustar
from sealift_manifests.digests import Buffer, Digest
from sealift_manifests.image_entries import Descriptor, ImageEntry

from sealift_installer.passing import by_rank, measured

ReadBlob = Callable[[Digest], Iterator[Buffer]]
Rank = Callable[[Digest], int]


def in_order(digest: Digest) -> int:
    """Rank all blobs alike: they come in the order of the manifest."""
    return 0


def archive(
    image: ImageEntry, read_blob: ReadBlob, rank: Rank = in_order
) -> Iterator[Buffer]:
    """Yield the archive of `image`, whose blobs `read_blob` yields piece by piece.

    No engine minds in which order they come: next is always one of the lowest `rank`,
    which is asked each time, for it changes with the medium that is in.

    Each blob is measured as it passes. One that is not what was signed raises
    DigestMismatchError before the archive is whole, so that no engine takes it.
    """
    for name, content in oci_texts(image):
        yield ustar.header(name, len(content)) + content + ustar.padding(len(content))
    for blob in by_rank(_blobs(image), lambda each: rank(each.digest)):
        yield ustar.header(member_name(blob.digest), blob.size)
        yield from measured_blob(image, blob, read_blob)
        yield ustar.padding(blob.size)
    yield ustar.END


def archive_size(image: ImageEntry) -> int:
    """Return the exact size of the archive in bytes."""
    sizes = [len(content) for _, content in oci_texts(image)]
    sizes += [blob.size for blob in _blobs(image)]
    return sum(map(_space, sizes)) + len(ustar.END)


def _space(size: int) -> int:
    return ustar.BLOCK + size + len(ustar.padding(size))


def _blobs(image: ImageEntry) -> List[Descriptor]:
    return list({blob.digest: blob for blob in image.blobs}.values())


def member_name(digest: Digest) -> str:
    """Return where a blob lies in an archive."""
    return f"blobs/sha256/{digest.hex}"


def measured_blob(
    image: ImageEntry, blob: Descriptor, read_blob: ReadBlob
) -> Iterator[Buffer]:
    """Yield a blob; raise DigestMismatchError at its end if it is another."""
    what = f"a blob of image {image.name}"
    return measured(what, blob.digest, blob.size, read_blob(blob.digest))


def oci_texts(image: ImageEntry) -> Tuple[Tuple[str, bytes], ...]:
    """Return the small files of the archive, by name."""
    tag = image.reference.rpartition(":")[2]
    descriptor: Dict[str, Any] = {
        "mediaType": image.manifest.media_type,
        "digest": image.manifest.digest,
        "size": image.manifest.size,
        "annotations": {
            "io.containerd.image.name": image.reference,
            "org.opencontainers.image.ref.name": tag,
        },
    }
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    }
    docker = {
        "Config": member_name(image.config.digest),
        "RepoTags": [image.reference],
        "Layers": [member_name(layer.digest) for layer in image.layers],
    }
    return (
        ("oci-layout", _json({"imageLayoutVersion": "1.0.0"})),
        ("index.json", _json(index)),
        ("manifest.json", _json([docker])),
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
