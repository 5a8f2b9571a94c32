"""The index: which chunks make a file, and where each chunk lies in the packs.

Chunks are listed in the order in which they lie: the first pack first, back to
back, without gaps. So the digests of the chunks cover every byte of every pack. Chunks
that a delta leaves out follow; they lie in no pack.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from sealift_manifests import strictjson
from sealift_manifests.codecs import RAW, SHUFFLE_ZSTD, WIDTHS, ZSTD
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import ManifestError
from sealift_manifests.model import FORMAT, check_version
from sealift_manifests.parallel import no_collecting
from sealift_manifests.parity import FEATURE as PARITY
from sealift_manifests.parity import Parity, parity_value, parse_parity
from sealift_manifests.paths import is_label, is_version
from sealift_manifests.records import require

MAX_INDEX = 256 << 20
"""The largest accepted index.json, in bytes."""

MAX_CHUNK = 8 << 20
"""The most bytes that one chunk decodes to."""

BASE = "base"
"""The feature of an index that leaves chunks out, and the codec of those chunks."""

INDEX_FEATURES = (BASE, PARITY)
"""Additions to format 1 that this reader understands in an index, by name."""

NOWHERE = -1
"""The pack of a chunk that lies in none."""

_STORED = frozenset(("codec", "digest", "offset", "pack", "size"))
_FIELDS = {
    BASE: frozenset(("codec", "digest", "size")),
    RAW: _STORED,
    ZSTD: _STORED | {"stored_digest", "stored_size"},
    SHUFFLE_ZSTD: _STORED | {"stored_digest", "stored_size", "width"},
}
"""What is said of a chunk, by its codec."""

_OF_NOTHING = digest_of(b"")
_HINT = "The index is damaged or was not made by Sealift. Do not use the bundle."


class Chunk(NamedTuple):
    """A piece of a file as it lies in a pack.

    `digest` and `size` (bytes) are those of the plain bytes; `stored_digest` and
    `stored_size` those of the bytes in pack number `pack` (from 0) at `offset`.
    `width` is the element width in bytes of `shuffle-zstd`, otherwise 1.
    """

    digest: Digest
    size: int
    codec: str
    width: int
    pack: int
    offset: int
    stored_size: int
    stored_digest: Digest

    @property
    def is_base(self) -> bool:
        """Whether the host must have these bytes already: they are in no pack."""
        return self.codec == BASE


def base_chunk(digest: Digest, size: int) -> Chunk:
    """Return the entry of a chunk of `size` plain bytes that is left out."""
    return Chunk(digest, size, BASE, 1, NOWHERE, 0, 0, digest)


class BaseRelease(NamedTuple):
    """A release that a delta builds on. `root` is the digest of its SHA256SUMS."""

    name: str
    version: str
    serial: int
    root: Digest

    def __str__(self) -> str:
        """Return what people call it, and what tells it from all others."""
        return f"{self.name} {self.version} (serial {self.serial}, root {self.root})"


class Pack(NamedTuple):
    """A file of stored chunks, with its size in bytes."""

    name: str
    size: int


class Content(NamedTuple):
    """A file by its digest: its size in bytes and the numbers of its chunks."""

    digest: Digest
    size: int
    chunks: Tuple[int, ...]


class Index(NamedTuple):
    """The packs, the chunks in order of place, and the contents by digest.

    `bases` are the releases that together have every chunk that is left out; `parity`:
    the files from which lost packs can be rebuilt, if there are any.
    """

    packs: Tuple[Pack, ...]
    chunks: Tuple[Chunk, ...]
    contents: Dict[Digest, Content]
    bases: Tuple[BaseRelease, ...] = ()
    parity: Optional[Parity] = None

    @property
    def large_files(self) -> Tuple[Tuple[str, int], ...]:
        """Name and size of each pack, then of each parity file: all but small files."""
        parity = self.parity.files if self.parity else ()
        packs = ((pack.name, pack.size) for pack in self.packs)
        return (*packs, *((file.name, file.size) for file in parity))

    @property
    def large_size(self) -> int:
        """Bytes of these together."""
        return sum(size for _, size in self.large_files)

    def places(self, content: Content) -> Iterator[Tuple[int, int]]:
        """Yield the number of each chunk of a file, and where in it that begins."""
        offset = 0
        for number in content.chunks:
            yield number, offset
            offset += self.chunks[number].size


def dump_index(index: Index) -> bytes:
    """Return the exact bytes of index.json: one line for each entry."""
    bases = [("bases", [base._asdict() for base in index.bases])] if index.bases else []
    sections = [
        *bases,
        ("chunks", [_chunk_value(chunk) for chunk in index.chunks]),
        ("contents", [_content_value(c) for _, c in sorted(index.contents.items())]),
        ("packs", [pack._asdict() for pack in index.packs]),
    ]
    rest: Dict[str, Any] = {"format": FORMAT}
    features = [BASE] if index.bases else []
    if index.parity:
        features.append(PARITY)
        sections.append((PARITY, [parity_value(f) for f in index.parity.files]))
        rest["parity_groups"] = index.parity.groups
    if features:
        rest["features"] = features
    parts: List[bytes] = [b"{\n"]
    for name, values in sections:
        lines = b",\n".join(strictjson.dump_line(value)[:-1] for value in values)
        parts.append(b'"%s":[\n%s],\n' % (name.encode("ascii"), lines))
    parts.append(strictjson.dump_line(rest)[1:])
    return b"".join(parts)


def parse_index(data: bytes, where: str = "index.json") -> Index:
    """Parse an index whose bytes were verified; check that it is consistent."""
    with no_collecting():
        return _parse(data, where)


def _parse(data: bytes, where: str) -> Index:
    value = strictjson.load(data, where)
    check_version(value, INDEX_FEATURES, where)
    try:
        protection = _protection(value)
        bases = _bases(value)
        unknown = set(value) - {"format", "features", "packs", "chunks", "contents"}
        require(not unknown, f"unknown field {sorted(unknown)}")
        packs = tuple(_pack(item) for item in _list(value["packs"]))
        chunks = tuple(_chunk(item) for item in _list(value["chunks"]))
        require(
            len({chunk.digest for chunk in chunks}) == len(chunks),
            "a chunk is stored twice",
        )
        listed = [_content(item, chunks) for item in _list(value["contents"])]
        sizes = [pack.size for pack in packs]
        contents = {content.digest: content for content in listed}
        parity = parse_parity(*protection, sizes) if protection else None
        index = Index(packs, chunks, contents, bases, parity)
        require(len(index.contents) == len(listed), "a content appears twice")
        _check_left_out(index)
        _check_places(index)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ManifestError(f"{where} is not valid: {error}", hint=_HINT) from error
    return index


def _protection(value: Dict[str, Any]) -> Optional[Tuple[List[Any], int]]:
    """Take the parity files and the number of their groups out of an index."""
    if PARITY not in value.get("features", ()):
        return None
    return _list(value.pop(PARITY)), _number(value.pop("parity_groups"))


def _chunk_value(chunk: Chunk) -> Dict[str, Any]:
    if chunk.is_base:
        return {"codec": BASE, "digest": chunk.digest, "size": chunk.size}
    value = chunk._asdict()
    if chunk.codec != SHUFFLE_ZSTD:
        del value["width"]
    if chunk.codec == RAW:
        del value["stored_size"], value["stored_digest"]
    return dict(value)


def _content_value(content: Content) -> Dict[str, Any]:
    return {
        "digest": content.digest,
        "size": content.size,
        "chunks": list(content.chunks),
    }


def _list(value: Any) -> List[Any]:
    require(type(value) is list, f"{value!r:.80} is not a list")
    return list(value)


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.80} is not a count")
    return value


def _bases(value: Dict[str, Any]) -> Tuple[BaseRelease, ...]:
    """Take `bases` out of an index; there are some exactly if the feature is named."""
    if BASE not in value.get("features", []):
        return ()
    bases = tuple(_base(item) for item in _list(value.pop("bases")))
    require(bases, "it names the feature base and no base")
    require(len(set(bases)) == len(bases), "a base appears twice")
    return bases


def _base(item: Dict[str, Any]) -> BaseRelease:
    require(set(item) == set(BaseRelease._fields), f"base with fields {sorted(item)}")
    base = BaseRelease(**{**item, "root": Digest(item["root"])})
    require(is_label(base.name), f"bad name of a base {base.name!r:.80}")
    require(is_version(base.version), f"bad version of a base {base.version!r:.80}")
    require(_number(base.serial) > 0, "a base has the serial 0")
    return base


def _pack(item: Dict[str, Any]) -> Pack:
    require(set(item) == {"name", "size"}, f"pack with fields {sorted(item)}")
    require(type(item["name"]) is str, "a pack's name is not text")
    require(_number(item["size"]) > 0, f"{item['name']} is empty")
    return Pack(item["name"], item["size"])


def _chunk(item: Dict[str, Any]) -> Chunk:
    codec = item["codec"]
    fields = _FIELDS.get(codec)
    # An index has up to a million chunks: no message is made unless it is needed.
    if fields is None:
        raise ValueError(f"unknown codec {codec!r:.80}")
    if item.keys() != fields:
        raise ValueError(f"{codec} chunk with the fields {sorted(item)}")
    digest, size = Digest(item["digest"]), _number(item["size"])
    if not 0 < size <= MAX_CHUNK:
        raise ValueError(f"a chunk of {size} bytes")
    if codec == BASE:
        return base_chunk(digest, size)
    pack, offset = _number(item["pack"]), _number(item["offset"])
    if codec == RAW:
        return Chunk(digest, size, codec, 1, pack, offset, size, digest)
    width = _number(item["width"]) if codec == SHUFFLE_ZSTD else 1
    if codec == SHUFFLE_ZSTD and width not in WIDTHS:
        raise ValueError(f"elements of {width} bytes")
    stored_size, stored = _number(item["stored_size"]), Digest(item["stored_digest"])
    if not 0 < stored_size <= size:
        raise ValueError("a chunk that is stored larger than it is")
    return Chunk(digest, size, codec, width, pack, offset, stored_size, stored)


def _content(item: Dict[str, Any], chunks: Tuple[Chunk, ...]) -> Content:
    require(set(item) == {"digest", "size", "chunks"}, "content with other fields")
    content = Content(
        Digest(item["digest"]),
        _number(item["size"]),
        tuple(_number(n) for n in _list(item["chunks"])),
    )
    size = sum(chunks[n].size for n in content.chunks)
    if size != content.size:
        raise ValueError(f"{content.digest} has chunks of {size} bytes")
    if len(content.chunks) < 2:
        alone = [chunks[n].digest for n in content.chunks] or [_OF_NOTHING]
        require(alone == [content.digest], f"{content.digest} is not its only chunk")
    return content


def _check_left_out(index: Index) -> None:
    """Check that chunks are left out exactly if bases are named, and come last."""
    marks = [chunk.is_base for chunk in index.chunks]
    require(any(marks) == bool(index.bases), "chunks are left out without a base")
    require(marks == sorted(marks), "a stored chunk comes after one that is left out")


def _check_places(index: Index) -> None:
    """Check that the stored chunks fill the packs, in order and without gaps."""
    pack, offset = 0, 0
    stored = [chunk for chunk in index.chunks if not chunk.is_base]
    for number, chunk in enumerate(stored):
        while chunk.pack > pack and offset == index.packs[pack].size:
            pack, offset = pack + 1, 0
        if (chunk.pack, chunk.offset) != (pack, offset):
            raise ValueError(
                f"chunk {number} does not lie where the one before it ends"
            )
        offset += chunk.stored_size
    ends = index.packs and (pack + 1, offset) == (
        len(index.packs),
        index.packs[-1].size,
    )
    require(ends or not (index.packs or stored), "a pack is not filled")
