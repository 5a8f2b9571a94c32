"""Takes an archive of `docker save` apart while it streams by.

Layers go to a store as they come, small JSON stays in memory, nothing touches
the disk here. What the parts mean is for save.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, cast

from sealift_manifests.digests import Digest, digest_of, from_hex
from sealift_manifests.errors import SourceContentError
from sealift_manifests.image_entries import LayerEntry

from sealift_bundler.insides.layers import LayerView, LayerWatch
from sealift_bundler.leaks.rules import SecretValues

MAX_JSON = 4 << 20
"""The largest part that is kept in memory, in bytes."""

_MAX_KEPT = 64 << 20
_MAX_MEMBERS = 100_000
_READ = 1 << 20
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})\Z")
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW = 31  # zlib's number for "with a gzip header"
_AGAIN = (
    "Save it again. If that fails too, use `pull:` in the spec, which needs no engine."
)


class Readable(Protocol):
    """What a store reads from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


Store = Callable[[Readable], tuple[Digest, int]]
"""Stores what it reads to the end; returns its digest and its size in bytes."""


@dataclass(frozen=True)
class ArchiveMember:
    """A regular file in an archive; its stream is good until the next one."""

    name: str
    size: int
    stream: Readable


@dataclass(frozen=True)
class Archive:
    """What was found: small documents by name, and stored layers by diff id.

    `views`: what was seen inside the layers, by diff id. `secrets`: values that are
    looked for in them.
    """

    documents: dict[str, bytes] = field(default_factory=dict)
    layers: dict[Digest, LayerEntry] = field(default_factory=dict)
    views: dict[Digest, LayerView] = field(default_factory=dict)
    secrets: SecretValues = field(default_factory=dict)

    def keep(
        self, stream: Readable, store: Store, name: str, *, known_as: str = ""
    ) -> None:
        """Store a layer; `known_as` is the digest its bytes must have, if any."""
        layer, view = store_layer(stream, store, name, self.secrets)
        if known_as and layer.digest.hex != known_as:
            raise wrong_blob(name)
        self.layers.setdefault(layer.diff_id, layer)
        self.views.setdefault(layer.diff_id, view)


class LayerReader:
    """A layer that is measured, unpacked, while something else reads it packed.

    `watch` is shown the unpacked bytes.
    """

    def __init__(
        self, stream: Readable, name: str, secrets: SecretValues | None = None
    ) -> None:
        self._stream, self._name = stream, name
        self._ahead = stream.read(len(_ZSTD))
        if self._ahead == _ZSTD:
            raise SourceContentError(
                f"{name} is compressed with zstd, which Docker 20.10 cannot load",
                hint="Build or push the image with gzip layers: buildx --output "
                "type=docker,compression=gzip,force-compression=true",
            )
        self.is_gzip = self._ahead.startswith(_GZIP)
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False
        self._plain = hashlib.sha256()
        self.plain_size = 0
        self.watch = LayerWatch(secrets)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes as they are in the archive."""
        if size == 0:
            return b""
        data, self._ahead = self._ahead, b""
        if 0 < size < len(data):
            data, self._ahead = data[:size], data[size:]
        else:
            data += self._stream.read(size - len(data) if size > 0 else -1)
        if self.is_gzip:
            self._inflate(data)
        else:
            self.watch.feed(data)
        return data

    def plain_digest(self) -> Digest:
        """Return the digest of the unpacked layer; only for gzip, at the end."""
        if self._begun:
            raise self._broken("it ends too early")
        return from_hex(self._plain.hexdigest())

    def _inflate(self, data: bytes) -> None:
        while data:
            self._begun = True
            try:
                plain = self._inflater.decompress(data, _READ)
                data = self._inflater.unconsumed_tail
            except zlib.error as error:
                raise self._broken(str(error)) from error
            self._measure(plain)
            if self._inflater.eof:  # parallel compressors write several members
                data = self._inflater.unused_data.lstrip(b"\0")
                self._inflater = zlib.decompressobj(_GZIP_WINDOW)
                self._begun = False

    def _measure(self, plain: bytes) -> None:
        self._plain.update(plain)
        self.plain_size += len(plain)
        self.watch.feed(plain)

    def _broken(self, why: str) -> SourceContentError:
        return SourceContentError(f"{self._name} is not valid gzip: {why}", hint=_AGAIN)


def members_of(chunks: Iterable[bytes], image: str) -> Iterator[ArchiveMember]:
    """Yield the regular files of a tar that arrives in pieces.

    Links are left out: they lead to layers that are in the archive too.
    """
    source = cast(io.BufferedIOBase, _ChunkReader(chunks))
    with (
        _tar_errors(image),
        tarfile.open(fileobj=source, mode="r|", bufsize=_READ) as tar,
    ):
        for number, info in enumerate(tar):
            if number >= _MAX_MEMBERS:
                raise tarfile.ReadError(f"more than {_MAX_MEMBERS} members")
            content = tar.extractfile(info) if info.isreg() else None
            if content:
                yield ArchiveMember(info.name, info.size, _Content(content, image))


def read_archive(
    members: Iterable[ArchiveMember],
    store: Store,
    image: str,
    secrets: SecretValues | None = None,
) -> Archive:
    """Go through an archive once; hand every layer to `store`."""
    archive = Archive(secrets=secrets or {})
    kept = 0
    for member in members:
        blob = _BLOB.match(member.name)
        stream: Readable = member.stream
        if member.size <= MAX_JSON:
            data = stream.read()
            if not (blob or member.name.endswith(".tar")) or data[:1] == b"{":
                kept += len(data)
                _check_kept(member.name, kept, image)
                if blob and digest_of(data).hex != blob[1]:
                    raise wrong_blob(f"{member.name} of {image}")
                archive.documents[member.name] = data
                continue
            stream = io.BytesIO(data)
        elif not (blob or member.name.endswith(".tar")):
            _check_kept(member.name, _MAX_KEPT + 1, image)
        name = f"the layer {member.name} of {image}"
        archive.keep(stream, store, name, known_as=blob[1] if blob else "")
    return archive


def store_layer(
    stream: Readable, store: Store, name: str, secrets: SecretValues
) -> tuple[LayerEntry, LayerView]:
    """Store one layer, measuring it on the way and looking inside."""
    reader = LayerReader(stream, name, secrets)
    digest, size = store(reader)
    if reader.read(1):
        raise ValueError(f"the store did not read {name} to its end")
    media_type = "application/vnd.oci.image.layer.v1.tar"
    entry = LayerEntry(media_type, digest, size, digest, size)
    if reader.is_gzip:
        diff_id, diff_size = reader.plain_digest(), reader.plain_size
        entry = LayerEntry(f"{media_type}+gzip", digest, size, diff_id, diff_size)
    return entry, reader.watch.view()


class _Content:
    """The bytes of a member. A break shows where they are read, so it is told there."""

    def __init__(self, content: Readable, image: str) -> None:
        self._content, self._image = content, image

    def read(self, size: int = -1, /) -> bytes:
        with _tar_errors(self._image):
            return self._content.read(size)


@contextmanager
def _tar_errors(image: str) -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as error:
        raise SourceContentError(
            f"what the engine sent for {image} is not a whole archive: {error}",
            hint=_AGAIN,
        ) from error


class _ChunkReader:
    """Makes a file of pieces, for tarfile."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, missing = [], size
        while missing > 0:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            parts.append(self._rest[:missing])
            self._rest = self._rest[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)


def _check_kept(name: str, kept: int, image: str) -> None:
    if kept > _MAX_KEPT:
        raise SourceContentError(
            f"the archive of {image} has more documents than an image has ({name})",
            hint="This is not what `docker save` writes; see what the engine is.",
        )


def wrong_blob(name: str) -> SourceContentError:
    """Return the error for a blob that is not what its name says."""
    return SourceContentError(
        f"{name} does not hold the bytes that its name says", hint=_AGAIN
    )
