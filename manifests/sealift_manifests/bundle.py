"""A bundle whose signature was checked: the only way from foreign bytes to values.

Order of checks: signatures over the exact bytes of SHA256SUMS; then the digests
of manifest.json and index.json; only then are these parsed. Each chunk is hashed
before it is decoded. What a delta leaves out comes from the base that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import (
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Tuple,
)

from sealift_manifests.codecs import RAW, decode
from sealift_manifests.consistency import check_consistent
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import (
    BaseMissingError,
    DigestMismatchError,
    ManifestError,
    PayloadError,
    SealiftError,
)
from sealift_manifests.index import MAX_INDEX, Chunk, Index, parse_index
from sealift_manifests.litter import litter_kind
from sealift_manifests.media import PATCH_NAME, Media, MediaFile
from sealift_manifests.model import MAX_MANIFEST, Manifest, parse_manifest
from sealift_manifests.parallel import Memory, Scratch, ordered_map
from sealift_manifests.patch import Patch, open_patch
from sealift_manifests.rebuild import Rebuilder
from sealift_manifests.roots import find_root
from sealift_manifests.sums import SUMS_NAME, parse_sums
from sealift_manifests.trust import Accepted, Trust

MANIFEST_NAME = "manifest.json"
INDEX_NAME = "index.json"
INSTALLER_NAME = "sealift-installer.pyz"
GUIDE_NAME = "INSTALL.md"
MAX_SMALL_FILE = 64 << 20
"""The largest accepted file of a bundle that is no pack or parity file, in bytes."""

_stored = Scratch()

_RECOPY = (
    "Copy it again from where the bundle was built. If that does not help, ask for "
    "a new bundle. Do not install this one."
)


class Spare(Protocol):
    """Another source of stored bytes than the packs on the media.

    Asked from several threads at once; what it gives is hashed like any other.
    """

    def holds(self, number: int) -> bool:
        """Say whether this chunk can be had here."""

    def read_stored(self, number: int, target: memoryview) -> bool:
        """Fill `target` with the stored bytes of a chunk; say whether it could."""


class PlainSource(Protocol):
    """Where the plain bytes of chunks are that a delta leaves out: a host's store.

    Asked from several threads at once.
    """

    def holds(self, chunk: Chunk) -> bool:
        """Say whether there is a place for these bytes here, good or bad."""

    def read_plain(self, chunk: Chunk, target: memoryview) -> None:
        """Fill `target` with the chunk's plain bytes, whose digest was checked.

        Raises BaseMissingError where there is none, DigestMismatchError where none
        is good.
        """


class BadCopy(NamedTuple):
    """A file on a medium that could not give chunk `number` as it was signed.

    `is_changed`: it gave other bytes. Otherwise they could not be read.
    """

    file: MediaFile
    number: int
    is_changed: bool


@dataclass(frozen=True)
class Bundle:
    """A bundle with a good signature. `root` is the digest of SHA256SUMS.

    `documents` are the small signed files that were read and verified on opening;
    `doubts` says which copies of the root and its signatures were set aside. `spares`
    are asked for what no medium has whole; `bad_copies` fills while chunks are read.
    `base` has what a delta leaves out; a bundle that was just opened has none.
    """

    media: Media
    root: Digest
    sums: Mapping[str, Digest]
    signatures: Mapping[str, bytes]
    accepted: Tuple[Accepted, ...]
    manifest: Manifest
    index: Index
    documents: Mapping[str, bytes]
    doubts: Tuple[str, ...] = ()
    spares: Tuple[Spare, ...] = ()
    bad_copies: List[BadCopy] = field(default_factory=list, compare=False)
    base: Optional[PlainSource] = None

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

    @property
    def patches(self) -> Tuple[Patch, ...]:
        """The spares that are patches, which lie on media of their own."""
        return tuple(spare for spare in self.spares if isinstance(spare, Patch))

    @property
    def small_files(self) -> Tuple[str, ...]:
        """Names of the signed files that are neither packs nor parity, sorted."""
        large = {name for name, _ in self.index.large_files}
        return tuple(sorted(name for name in self.sums if name not in large))

    @property
    def rebuilder(self) -> Optional[Rebuilder]:
        """The spare that rebuilds chunks from parity, if the bundle has parity."""
        found = [spare for spare in self.spares if isinstance(spare, Rebuilder)]
        return found[0] if found else None

    @property
    def rebuilt(self) -> Dict[str, int]:
        """How many chunks of which packs were rebuilt from parity so far."""
        counts: Dict[str, int] = {}
        for number in sorted(self.rebuilder.rebuilt) if self.rebuilder else ():
            name = self.index.packs[self.index.chunks[number].pack].name
            counts[name] = counts.get(name, 0) + 1
        return counts

    def pack_file(self, number: int) -> MediaFile:
        """Return pack `number` (from 0), or raise PayloadError if it is missing."""
        return self.media.open(self.index.packs[number].name)

    def document(self, name: str) -> bytes:
        """Return a small file of the bundle after checking its digest."""
        if name in self.documents:
            return self.documents[name]
        return read_document(self.media, self.sums, name, MAX_SMALL_FILE)

    def read_chunk(self, number: int, into: Optional[Memory] = None) -> memoryview:
        """Read chunk `number`, check its stored digest, return its plain bytes.

        They lie at the start of `into` if it is given, which must have room for them.
        """
        chunk = self.index.chunks[number]
        target: Memory = bytearray(chunk.size) if into is None else into
        if chunk.is_base:
            return self._read_base(chunk, memoryview(target)[: chunk.size])
        stored = (
            memoryview(target)[: chunk.stored_size]
            if chunk.codec == RAW
            else _stored.take(chunk.stored_size)
        )
        self.read_stored(number, stored)
        if chunk.codec == RAW:
            return decode(RAW, stored, chunk.size, chunk.width)
        return decode(chunk.codec, stored, chunk.size, chunk.width, into=target)

    def read_stored(self, number: int, target: memoryview) -> None:
        """Fill `target` with the stored bytes of a chunk, from the first good source.

        These are the copies of its pack on the media, then the spares; one is read
        unless it is bad, and what was bad is noted in `bad_copies`. Raises
        PayloadError or DigestMismatchError, that of the first copy, if none is good.
        """
        chunk = self.index.chunks[number]
        errors: List[SealiftError] = []
        for file in self.media.copies(self.index.packs[chunk.pack].name):
            try:
                file.read_into(target, chunk.offset)
            except PayloadError as error:
                errors.append(error)
                self.bad_copies.append(BadCopy(file, number, is_changed=False))
            else:
                if digest_of(target) == chunk.stored_digest:
                    return
                errors.append(damaged_chunk(file, chunk))
                self.bad_copies.append(BadCopy(file, number, is_changed=True))
        if not self.read_spare(number, target):
            raise self._fault(number, errors)

    def expect(self, number: int) -> int:
        """Have its medium begin to read chunk `number`; return the number.

        Whoever says so while others are worked on keeps a slow medium busy.
        """
        chunk = self.index.chunks[number]
        if not chunk.is_base:
            name = self.index.packs[chunk.pack].name
            self.media.expect(name, chunk.offset, chunk.stored_size)
        return number

    def _fault(self, number: int, errors: List[SealiftError]) -> SealiftError:
        """Return the error for a chunk of which no copy was good, and no spare."""
        try:
            self.pack_file(self.index.chunks[number].pack)
        except PayloadError as error:  # Says where it was looked for.
            errors = [error]
        if not self.rebuilder:
            return errors[0]
        why = self.rebuilder.why_not([number])
        return type(errors[0])(f"{errors[0].message}; {why}", hint=errors[0].hint)

    def read_spare(self, number: int, target: memoryview) -> bool:
        """Fill `target` with the stored bytes of a chunk, as signed, from a spare.

        Say whether one had them.
        """
        wanted = self.index.chunks[number].stored_digest
        return any(
            spare.read_stored(number, target) and digest_of(target) == wanted
            for spare in self.spares
        )

    def _read_base(self, chunk: Chunk, target: memoryview) -> memoryview:
        """Fill `target` with the plain bytes of a chunk that the base has."""
        if self.base is None:
            raise base_missing(self, "nothing was given to take it from")
        self.base.read_plain(chunk, target)
        return target

    def is_at_hand(self, number: int) -> bool:
        """Say whether a medium, a spare or the base has a place for this chunk.

        What is there may be good or bad.
        """
        chunk = self.index.chunks[number]
        if chunk.is_base:
            return self.base is not None and self.base.holds(chunk)
        end = chunk.offset + chunk.stored_size
        copies = self.media.copies(self.index.packs[chunk.pack].name)
        return any(file.size >= end for file in copies) or self.has_spare(number)

    def has_spare(self, number: int) -> bool:
        """Say whether a spare has a place for this chunk, good or bad."""
        return any(spare.holds(number) for spare in self.spares)

    def read_content(self, digest: Digest) -> Iterator[memoryview]:
        """Yield the plain bytes of a file by its digest, decoded on all cores."""
        numbers = self.index.contents[digest].chunks
        return ordered_map(self.read_chunk, map(self.expect, numbers))


def open_bundle(media: Media, trust: Trust, now: datetime) -> Bundle:
    """Verify signature, root documents and consistency; return the bundle.

    Raises one of the trust errors (exit codes 10 to 18) and trusts nothing that
    was read before the failure.
    """
    root = find_root(media, trust, now)
    name = digest_of(root.data)
    patches = tuple(open_patch(each, name, trust, now) for each in media.patches)
    sums = parse_sums(root.data)
    if PATCH_NAME in sums:
        raise ManifestError(
            f"{', '.join(media.places)} holds a patch, and no bundle",
            hint="A patch is a directory. Unpack it, and name the bundle's media too.",
        )
    documents = {
        SUMS_NAME: root.data,
        MANIFEST_NAME: read_document(media, sums, MANIFEST_NAME, MAX_MANIFEST),
        INDEX_NAME: read_document(media, sums, INDEX_NAME, MAX_INDEX),
    }
    manifest = parse_manifest(documents[MANIFEST_NAME])
    index = parse_index(documents[INDEX_NAME])
    check_consistent(manifest, index, sums)
    for patch in patches:
        patch.require_fits(index)
    rebuilders = (Rebuilder(media, index, index.parity),) if index.parity else ()
    return Bundle(
        media=media,
        root=name,
        sums=sums,
        signatures=root.signatures,
        accepted=root.accepted,
        doubts=(*root.doubts, *media.faults.values()),
        spares=(*patches, *rebuilders),
        manifest=manifest,
        index=index,
        documents=documents,
    )


def reopened(bundle: Bundle, media: Media, trust: Trust, now: datetime) -> Bundle:
    """Return the same bundle, read from other media, with no bad copies noted.

    Patches are those of the new media, verified like any. The caller has seen that the
    media carry the same SHA256SUMS.
    """
    patches = tuple(open_patch(p, bundle.root, trust, now) for p in media.patches)
    for patch in patches:
        patch.require_fits(bundle.index)
    others = (
        spare.on(media) if isinstance(spare, Rebuilder) else spare
        for spare in bundle.spares
        if not isinstance(spare, Patch)
    )
    return replace(bundle, media=media, spares=(*patches, *others), bad_copies=[])


def read_document(
    media: Media, sums: Mapping[str, Digest], name: str, limit: int
) -> bytes:
    """Return a small file's bytes: the first copy that is the one in SHA256SUMS.

    Patches may have it too. Without a good copy, the error is that of the first.
    """
    if name not in sums:
        raise ManifestError(f"{SUMS_NAME} does not list {name}", hint=_RECOPY)
    files = [file for one in (media, *media.patches) for file in one.copies(name)]
    if not files:
        media.open(name)  # Says where it was looked for.
    errors: List[SealiftError] = []
    for file in files:
        try:
            data = file.read_all(limit)
        except PayloadError as error:
            errors.append(error)
            continue
        found = digest_of(data)
        if found == sums[name]:
            return data
        errors.append(
            DigestMismatchError(
                f"{file.label} is not the file that was signed "
                f"(expected {sums[name].short}, found {found.short})",
                hint=_RECOPY,
            )
        )
    raise errors[0]


def base_missing(bundle: Bundle, detail: str) -> BaseMissingError:
    """Return the error for chunks of a delta that its base should have."""
    manifest = bundle.manifest
    names = " and ".join(map(str, bundle.index.bases))
    return BaseMissingError(
        f"{manifest.name} {manifest.version} is a delta: it builds on {names}, and "
        f"not all of that is on this host: {detail}",
        hint="Install that first (or `install --repair` it, if it is installed). Else "
        "send a new `receipt` of this host and ask for a bundle that is built with it, "
        "or ask for a full one.",
    )


def damaged_chunk(file: MediaFile, chunk: Chunk) -> DigestMismatchError:
    """Return the error for stored bytes that are not those that were signed."""
    return DigestMismatchError(
        f"{file.label}: bytes {chunk.offset} to {chunk.offset + chunk.stored_size} "
        "are not what was signed",
        hint="Copy that file to the medium again, and try again: what is already "
        "installed and verified is kept.",
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
