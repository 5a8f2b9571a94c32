"""Prove that the bytes the engine stores for an image are those that were signed.

The engine is asked to export the image, and every layer of the export is measured
as it passes; nothing is written. An engine with a graph driver builds the export
from the unpacked files, so a changed one is found; on a containerd store the
stored blobs are what is proven. Files *added* below the engine's own directory do
not appear in an export and are not seen here.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
import zlib
from dataclasses import dataclass
from typing import IO, Any, Dict, FrozenSet, Iterator, List, Optional

from sealift_manifests.digests import Digest, from_hex
from sealift_manifests.errors import EngineError
from sealift_manifests.image_entries import ImageEntry, LayerEntry

from sealift_installer.engine import Engine, printable
from sealift_installer.images import export_image

_PIECE = 1 << 20
_MAX_TEXT = 8 << 20
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class _Measured:
    """A file of the export: the digest of its bytes, and of what it decompresses to."""

    stored: Digest
    plain: Optional[Digest]


class _Export:
    """What an export held: measures of its files, and its list of images."""

    def __init__(self) -> None:
        self.files: Dict[str, _Measured] = {}
        self.links: Dict[str, str] = {}
        self.listing = b""

    def measure(self, path: str) -> Optional[_Measured]:
        """Return the measure of the file at `path`, or of the one it leads to."""
        return self.files.get(self.links.get(path, path))

    def image(self) -> Dict[str, Any]:
        """Return the entry of the one image in manifest.json, empty if unusable."""
        try:
            (entry,) = json.loads(self.listing.decode("utf-8"))
        except (ValueError, TypeError):
            return {}
        return entry if isinstance(entry, dict) else {}


def audit_image(engine: Engine, image: ImageEntry) -> List[str]:
    """Return every way in which the stored image differs from the signed one.

    Reads the whole image, as fast as the engine exports it.
    """
    try:
        with export_image(engine, image) as stream:
            return audit_export(stream, image)
    except EngineError as error:
        engine.get("/version")  # An engine that is gone is no fault of the image.
        return [f"image {image.name} cannot be exported: {error.message}"]


def exported_digests(engine: Engine, image: ImageEntry) -> FrozenSet[Digest]:
    """Return the digests of all files in the engine's export of an image.

    Reads the whole image. Raises EngineError when the engine does not export it.
    """
    try:
        with export_image(engine, image) as stream:
            export = _read(stream, frozenset(layer.digest for layer in image.layers))
    except (tarfile.TarError, zlib.error, ValueError) as error:
        raise EngineError(
            f"the export of image {image.name} is damaged: {printable(error)}",
            hint="Run `audit`, and see the engine's log.",
        ) from error
    return frozenset(found.stored for found in export.files.values())


def audit_export(stream: IO[bytes], image: ImageEntry) -> List[str]:
    """Return every way in which an exported image differs from the signed one.

    Reads the layout of every engine: files of their own per layer up to Docker 24,
    OCI blobs from 25 on, plain or as they were stored.
    """
    try:
        export = _read(stream, frozenset(layer.digest for layer in image.layers))
    except (tarfile.TarError, zlib.error, ValueError) as error:
        return [f"the export of image {image.name} is damaged: {printable(error)}"]
    return list(_compare(export, image))


def _read(stream: IO[bytes], signed: FrozenSet[Digest]) -> _Export:
    export = _Export()
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_PIECE) as tar:
        for member in tar:
            name = posixpath.normpath(member.name)
            if member.issym():
                target = posixpath.join(posixpath.dirname(name), member.linkname)
                export.links[name] = posixpath.normpath(target)
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            if name == "manifest.json":
                export.listing = content.read(_MAX_TEXT)
            else:
                stored_as_signed = f"sha256:{posixpath.basename(name)}" in signed
                export.files[name] = _measure(content, unpack=not stored_as_signed)
    return export


def _measure(stream: IO[bytes], *, unpack: bool) -> _Measured:
    piece = stream.read(_PIECE)
    plain = _Unpacked() if unpack and piece.startswith(_GZIP) else None
    stored = hashlib.sha256()
    while piece:
        stored.update(piece)
        if plain:
            plain.update(piece)
        piece = stream.read(_PIECE)
    return _Measured(
        from_hex(stored.hexdigest()),
        from_hex(plain.measure.hexdigest()) if plain else None,
    )


class _Unpacked:
    """Measures what a gzip file of one or more members decompresses to."""

    def __init__(self) -> None:
        self.measure = hashlib.sha256()
        self._gzip = zlib.decompressobj(wbits=31)

    def update(self, data: bytes) -> None:
        while data:
            self.measure.update(self._gzip.decompress(data, _PIECE))
            data = self._gzip.unconsumed_tail
            if self._gzip.eof:
                data = self._gzip.unused_data
                self._gzip = zlib.decompressobj(wbits=31)


def _compare(export: _Export, image: ImageEntry) -> Iterator[str]:
    entry = export.image()
    if not entry:
        yield (
            f"image {image.name}: the engine exports nothing of it, so some of what "
            "it stored is missing or damaged"
        )
        return
    config = export.measure(posixpath.normpath(str(entry.get("Config"))))
    if config is None or config.stored != image.config.digest:
        found = config.stored.short if config else "none"
        yield (
            f"image {image.name}: its config is not the signed one "
            f"(expected {image.config.digest.short}, found {found})"
        )
    paths = entry.get("Layers") or []
    if len(paths) != len(image.layers):
        yield (
            f"image {image.name}: the export has {len(paths)} layers, "
            f"{len(image.layers)} were signed"
        )
    for number, (layer, path) in enumerate(zip(image.layers, paths), 1):
        fault = _layer_fault(layer, export.measure(posixpath.normpath(str(path))))
        if fault:
            yield f"image {image.name}: layer {number} {fault}"


def _layer_fault(layer: LayerEntry, found: Optional[_Measured]) -> Optional[str]:
    if found is None:
        return f"({layer.diff_id.short}) is missing from the export"
    if found.stored in (layer.digest, layer.diff_id) or found.plain == layer.diff_id:
        return None
    actual = found.plain or found.stored
    return (
        "is not the one that was signed "
        f"(expected {layer.diff_id.short}, found {actual.short})"
    )
