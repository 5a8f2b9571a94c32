"""Make the documents of a bundle of terabytes, signed, without its packs.

Manifest and index are those that a build would have written for a bf16 model of that
size; only the digests stand for bytes that were never there. What reads no pack, such
as `inspect`, does not know the difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from sealift_bundler.record import pack_name
from sealift_bundler.signing import sign_sums, signer_from_key_file
from sealift_manifests.codecs import SHUFFLE_ZSTD
from sealift_manifests.digests import Digest, digest_of, from_hex
from sealift_manifests.index import MAX_CHUNK, Chunk, Content, Index, Pack, dump_index
from sealift_manifests.model import BUNDLE_TYPE, FORMAT, Manifest, dump_manifest
from sealift_manifests.model_entries import ModelEntry, ModelFile, ModelSource
from sealift_manifests.sums import SUMS_NAME, format_sums
from sealift_manifests.trees import format_listing

SHARD = 5 * 10**9
"""Bytes of a file of the model, as large models come."""

_TENSOR = 436 << 20
_PACK = (4 << 30) - 1
_STORED = 0.67


def make_huge(folder: Path, size: int, key: Path) -> Path:
    """Write a bundle of a model of `size` bytes into `folder`, but for its packs."""
    folder.mkdir(parents=True)
    shards = [SHARD] * (size // SHARD) + [size % SHARD] * (size % SHARD > 0)
    index = _index(shards)
    files = tuple(
        ModelFile(f"model-{n + 1:05}-of-{len(shards):05}.safetensors", c.size, c.digest)
        for n, c in enumerate(index.contents.values())
    )
    source = ModelSource("path")
    listing = format_listing("flat", source, files)
    model = ModelEntry("huge", "flat", source, files, digest_of(listing))
    manifest = Manifest(
        *(FORMAT, BUNDLE_TYPE, "huge", "1.0.0", 1, "linux/amd64"),
        created="2026-01-01T00:00:00Z",
        builder="scripts/bench",
        models=(model,),
    )
    documents = {
        "manifest.json": dump_manifest(manifest),
        "index.json": dump_index(index),
        model.listing_name: listing,
    }
    sums = {name: digest_of(data) for name, data in documents.items()}
    sums |= {pack.name: _made_up("pack", n) for n, pack in enumerate(index.packs)}
    documents[SUMS_NAME] = format_sums(sums)
    signer = signer_from_key_file(key, lambda path: b"")
    documents |= sign_sums(documents[SUMS_NAME], [signer])
    for name, data in documents.items():
        (folder / name).write_bytes(data)
    return folder


def _index(shards: list[int]) -> Index:
    chunks: list[Chunk] = []
    contents: dict[Digest, Content] = {}
    packs: list[Pack] = []
    offset = 0
    for number, size in enumerate(shards):
        first = len(chunks)
        for plain in _cut(size):
            stored = int(plain * _STORED) - len(chunks) % 997
            if offset + stored > _PACK:
                packs.append(Pack(pack_name(len(packs)), offset))
                offset = 0
            digests = (_made_up(what, len(chunks)) for what in ("plain", "stored"))
            place = (SHUFFLE_ZSTD, 2, len(packs), offset, stored)
            chunks.append(Chunk(next(digests), plain, *place, next(digests)))
            offset += stored
        digest = _made_up("file", number)
        numbers = tuple(range(first, len(chunks)))
        contents[digest] = Content(digest, size, numbers)
    packs.append(Pack(pack_name(len(packs)), offset))
    return Index(tuple(packs), tuple(chunks), contents)


def _cut(size: int) -> Iterator[int]:
    """Yield the sizes of a file's chunks: those of its tensors, one after another."""
    for start in range(0, size, _TENSOR):
        tensor = min(_TENSOR, size - start)
        for at in range(0, tensor, MAX_CHUNK):
            yield min(MAX_CHUNK, tensor - at)


def _made_up(what: str, number: int) -> Digest:
    return from_hex(hashlib.sha256(f"{what} {number}".encode()).hexdigest())
