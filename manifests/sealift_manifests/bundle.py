"""A bundle whose signature was checked: the only way from foreign bytes to values.

Order of checks: signatures over the exact bytes of SHA256SUMS; then the digests
of manifest.json and index.json; only then are these parsed. Each chunk is hashed
before it is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Dict, Iterator, Mapping, Optional, Tuple

from sealift_manifests.codecs import RAW, decode
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import (
    DigestMismatchError,
    ManifestError,
    SignatureError,
)
from sealift_manifests.index import MAX_INDEX, Chunk, Index, parse_index
from sealift_manifests.litter import litter_kind
from sealift_manifests.media import Media, MediaFile
from sealift_manifests.model import MAX_MANIFEST, Manifest, parse_manifest
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.sums import MAX_SUMS, SUMS_NAME, parse_sums
from sealift_manifests.trees import format_listing
from sealift_manifests.trust import Accepted, Trust, check_signatures

MANIFEST_NAME = "manifest.json"
INDEX_NAME = "index.json"
INSTALLER_NAME = "sealift-installer.pyz"
GUIDE_NAME = "INSTALL.md"
MAX_SIGNATURE = 16 << 10
"""The largest accepted signature file, in bytes."""

MAX_SIGNATURES = 64
"""Each costs time before anything is trusted."""

MAX_SMALL_FILE = 64 << 20
"""The largest accepted file of a bundle that is not a pack, in bytes."""

_stored = Scratch()

_RECOPY = (
    "Copy it again from where the bundle was built. If that does not help, ask for "
    "a new bundle. Do not install this one."
)


@dataclass(frozen=True)
class Bundle:
    """A bundle with a good signature. `root` is the digest of SHA256SUMS.

    `documents` are the small signed files that were read and verified on opening.
    """

    media: Media
    root: Digest
    sums: Mapping[str, Digest]
    signatures: Mapping[str, bytes]
    accepted: Tuple[Accepted, ...]
    manifest: Manifest
    index: Index
    documents: Mapping[str, bytes]

    @property
    def unlisted(self) -> Tuple[str, ...]:
        """Files on the media that nobody signed: they are not part of the bundle.

        What desktop systems leave is told apart, as `litter`.
        """
        known = {*self.sums, *self.signatures, SUMS_NAME}
        others = (name for name in self.media.names() if name not in known)
        return tuple(name for name in others if not litter_kind(name))

    @property
    def litter(self) -> Tuple[str, ...]:
        """What desktop systems left on the media, each kind once."""
        return tuple(kind for kind in self.media.litter() if kind not in self.sums)

    def pack_file(self, number: int) -> MediaFile:
        """Return pack `number` (from 0), or raise PayloadError if it is missing."""
        return self.media.open(self.index.packs[number].name)

    def document(self, name: str) -> bytes:
        """Return a small file of the bundle after checking its digest."""
        if name in self.documents:
            return self.documents[name]
        return read_document(self.media, self.sums, name, MAX_SMALL_FILE)

    def read_chunk(self, number: int, into: Optional[bytearray] = None) -> memoryview:
        """Read chunk `number` once, check its stored digest, return its plain bytes.

        They lie at the start of `into` if it is given, which must have room for them.
        """
        chunk = self.index.chunks[number]
        file = self.pack_file(chunk.pack)
        target = bytearray(chunk.size) if into is None else into
        stored = (
            memoryview(target)[: chunk.stored_size]
            if chunk.codec == RAW
            else _stored.take(chunk.stored_size)
        )
        file.read_into(stored, chunk.offset)
        if digest_of(stored) != chunk.stored_digest:
            raise damaged_chunk(file, chunk)
        if chunk.codec == RAW:
            return decode(RAW, stored, chunk.size, chunk.width)
        return decode(chunk.codec, stored, chunk.size, chunk.width, into=target)

    def read_content(self, digest: Digest) -> Iterator[memoryview]:
        """Yield the plain bytes of a file by its digest, decoded on all cores."""
        return ordered_map(self.read_chunk, self.index.contents[digest].chunks)


def open_bundle(media: Media, trust: Trust, now: datetime) -> Bundle:
    """Verify signature, root documents and consistency; return the bundle.

    Raises one of the trust errors (exit codes 10 to 18) and trusts nothing that
    was read before the failure.
    """
    root = media.read(SUMS_NAME, MAX_SUMS)
    signatures = read_signatures(media)
    accepted = check_signatures(root, signatures, trust, now)
    sums = parse_sums(root)
    documents = {
        SUMS_NAME: root,
        MANIFEST_NAME: read_document(media, sums, MANIFEST_NAME, MAX_MANIFEST),
        INDEX_NAME: read_document(media, sums, INDEX_NAME, MAX_INDEX),
    }
    manifest = parse_manifest(documents[MANIFEST_NAME])
    index = parse_index(documents[INDEX_NAME])
    check_consistent(manifest, index, sums)
    return Bundle(
        media=media,
        root=digest_of(root),
        sums=sums,
        signatures=signatures,
        accepted=accepted,
        manifest=manifest,
        index=index,
        documents=documents,
    )


def read_signatures(media: Media) -> Dict[str, bytes]:
    """Return the signature files over SHA256SUMS, by name."""
    names = [
        name
        for name in media.names()
        if name.startswith(SUMS_NAME + ".") and name.endswith(".sig")
    ]
    if len(names) > MAX_SIGNATURES:
        raise SignatureError(
            f"the bundle has {len(names)} signature files; at most {MAX_SIGNATURES} "
            "are looked at",
            hint=_RECOPY,
        )
    return {name: media.read(name, MAX_SIGNATURE) for name in names}


def read_document(
    media: Media, sums: Mapping[str, Digest], name: str, limit: int
) -> bytes:
    """Return a small file's bytes after comparing them with SHA256SUMS."""
    if name not in sums:
        raise ManifestError(f"{SUMS_NAME} does not list {name}", hint=_RECOPY)
    data = media.read(name, limit)
    if digest_of(data) != sums[name]:
        raise DigestMismatchError(
            f"{media.open(name).label} is not the file that was signed "
            f"(expected {sums[name].short}, found {digest_of(data).short})",
            hint=_RECOPY,
        )
    return data


def damaged_chunk(file: MediaFile, chunk: Chunk) -> DigestMismatchError:
    """Return the error for stored bytes that are not those that were signed."""
    return DigestMismatchError(
        f"{file.label}: bytes {chunk.offset} to {chunk.offset + chunk.stored_size} "
        "are not what was signed",
        hint="Copy that file to the medium again, and try again: what is already "
        "installed and verified is kept.",
    )


def check_consistent(
    manifest: Manifest, index: Index, sums: Mapping[str, Digest]
) -> None:
    """Check that manifest, index and SHA256SUMS speak of the same files."""
    needed: Dict[Digest, int] = {}
    for digest, size, what in manifest.contents():
        content = index.contents.get(digest)
        if content is None or content.size != size:
            raise ManifestError(f"the index does not hold {what}", hint=_RECOPY)
        needed[digest] = size
    if set(index.contents) != set(needed):
        raise ManifestError("the index holds files nobody asked for", hint=_RECOPY)
    used = {n for content in index.contents.values() for n in content.chunks}
    if len(used) != len(index.chunks):
        raise ManifestError("the index holds chunks nobody asked for", hint=_RECOPY)
    names = {pack.name for pack in index.packs}
    listed = {name for name in sums if name.endswith(".pack")}
    if names != listed or len(names) != len(index.packs):
        raise ManifestError("index and SHA256SUMS name different packs", hint=_RECOPY)
    for model in manifest.models:
        listing = format_listing(model.layout, model.source, model.files)
        if not sums.get(model.listing_name) == model.tree == digest_of(listing):
            raise ManifestError(
                f"{model.listing_name} is not the list of model {model.name}",
                hint=_RECOPY,
            )


def users_of(manifest: Manifest, index: Index) -> Dict[int, Tuple[str, ...]]:
    """Return for each chunk number the files that need it, for people."""
    names: Dict[Digest, str] = {}
    for digest, _, what in manifest.contents():
        names.setdefault(digest, what)
    users: Dict[int, Tuple[str, ...]] = {}
    for content in index.contents.values():
        for number in content.chunks:
            users[number] = (*users.get(number, ()), names[content.digest])
    return users
