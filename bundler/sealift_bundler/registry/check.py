"""Layers against the config that names them: the proof that an image is whole.

Reads each layer once, from whatever source, and keeps nothing of it. What is inside
the tar decides nothing here; it is looked at on the way.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import SourceContentError

from sealift_bundler.insides.layers import LayerView, LayerWatch

from .documents import Descriptor, diff_ids_of_config

_CHUNK = 1 << 17
_MOST_AT_ONCE = 1 << 20
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW = 31


@dataclass(frozen=True)
class LayerFacts:
    """What was measured of a layer: its identity packed and unpacked.

    `view` is what was seen inside.
    """

    digest: Digest
    diff_id: Digest
    uncompressed_size: int
    view: LayerView = field(default_factory=LayerView, compare=False, repr=False)


def verify_layers(
    config_bytes: bytes,
    layers: Sequence[Descriptor],
    open_blob: Callable[[Digest], BinaryIO],
    *,
    image: str = "the image",
) -> tuple[LayerFacts, ...]:
    """Check every layer against its descriptor and the config's `diff_ids`.

    `open_blob` returns a fresh stream, which is closed here. `image` is how
    errors speak of it.
    """
    expected = diff_ids_of_config(config_bytes, name=image)
    if len(expected) != len(layers):
        raise _broken(
            f"{image} has {len(layers)} layers, but its config names {len(expected)}"
        )
    facts = []
    for number, (layer, diff_id) in enumerate(zip(layers, expected, strict=True), 1):
        name = f"layer {number} ({layer.digest.short}) of {image}"
        with open_blob(layer.digest) as stream:
            found = _measure(layer, stream, name)
        if found.diff_id != diff_id:
            raise _broken(
                f"{name} unpacks to {found.diff_id.short}, "
                f"but the config names {diff_id.short}"
            )
        facts.append(found)
    return tuple(facts)


def _measure(layer: Descriptor, stream: BinaryIO, name: str) -> LayerFacts:
    packed = _Measured(stream)
    unpacked, size, watch = hashlib.sha256(), 0, LayerWatch()
    for data in _unpack(packed, layer, name):
        unpacked.update(data)
        size += len(data)
        watch.feed(data)
    if (packed.digest, packed.size) != (layer.digest, layer.size):
        raise _broken(f"the bytes of {name} are not those that its digest names")
    diff_id = from_hex(unpacked.hexdigest())
    return LayerFacts(layer.digest, diff_id, size, watch.view())


class _Measured:
    """A stream that is measured while it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hasher = hashlib.sha256()
        self.size = 0

    def read(self) -> bytes:
        data = self._stream.read(_CHUNK)
        self._hasher.update(data)
        self.size += len(data)
        return data

    @property
    def digest(self) -> Digest:
        return from_hex(self._hasher.hexdigest())


def _unpack(packed: _Measured, layer: Descriptor, name: str) -> Iterator[bytes]:
    """Tell gzip from plain by the first bytes, as engines do."""
    head = _read_at_least(packed, len(_ZSTD))
    if head.startswith(_ZSTD):
        raise _broken(f"{name} is compressed with zstd, whatever its media type says")
    if not head.startswith(_GZIP):
        yield from _plain(head, packed)
        return
    if layer.media_type.endswith(".tar"):
        raise _broken(f"{name} is gzip, but its media type says plain tar")
    yield from _gunzip(head, packed, name)


def _read_at_least(packed: _Measured, least: int) -> bytes:
    head = b""
    while len(head) < least and (data := packed.read()):
        head += data
    return head


def _plain(head: bytes, packed: _Measured) -> Iterator[bytes]:
    while head:
        yield head
        head = packed.read()


def _gunzip(data: bytes, packed: _Measured, name: str) -> Iterator[bytes]:
    """Unpack one gzip member after another; anything else in between is refused."""
    while data:
        member = zlib.decompressobj(_GZIP_WINDOW)
        while not member.eof:
            if not data:
                raise _broken(f"{name} ends in the middle of its gzip stream")
            try:
                yield member.decompress(data, _MOST_AT_ONCE)
            except zlib.error as error:
                raise _broken(f"{name} is not sound gzip to its end") from error
            data = member.unconsumed_tail or (b"" if member.eof else packed.read())
        data = member.unused_data or packed.read()


def _broken(what: str) -> SourceContentError:
    return SourceContentError(
        what,
        hint="Pull or build the image again. If it stays so, the source is broken: "
        "some engines leave layers out when they save an image.",
    )
