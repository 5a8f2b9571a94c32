"""Measure every byte of a bundle and say which are not what was signed.

The chunks cover the packs without gaps, so their digests settle every byte, on
all cores, and name the damaged ranges. The whole-pack digests in SHA256SUMS say
the same to `sha256sum -c`. What can be rebuilt from parity is rebuilt, to be sure.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass, replace
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from sealift_manifests.bundle import Bundle, users_of
from sealift_manifests.digests import Digest, digest_of, from_hex
from sealift_manifests.errors import DigestMismatchError, PayloadError, SealiftError
from sealift_manifests.index import Chunk
from sealift_manifests.media import MediaFile
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.rebuild import bad_blocks

Progress = Callable[[int], None]
"""Called with the number of bytes that were just dealt with."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Damage:
    """What is wrong with one file of a bundle.

    `kind`: missing, wrong-size, changed, unreadable or swapped. `ranges` are byte
    ranges [start, end) in it; `hits` names the model files and image blobs there.
    `is_mended`: an install can do without it, since what it needs can be rebuilt.
    """

    name: str
    place: str
    kind: str
    detail: str
    ranges: Tuple[Tuple[int, int], ...] = ()
    hits: Tuple[str, ...] = ()
    is_mended: bool = False

    def __str__(self) -> str:
        """Return it in one line, for people."""
        spans = ", ".join(f"{start}-{end}" for start, end in self.ranges[:8])
        more = ", ..." if len(self.ranges) > 8 else ""
        text = f"{self.place}: {self.detail}"
        if spans:
            text += f" (bytes {spans}{more})"
        if self.hits:
            shown = ", ".join(self.hits[:4])
            rest = f" and {len(self.hits) - 4} more" if len(self.hits) > 4 else ""
            text += f"; hits {shown}{rest}"
        return text


def find_damage(bundle: Bundle, progress: Progress) -> Tuple[Damage, ...]:
    """Measure every signed file of the bundle; return all that is wrong.

    What damaged packs lack is rebuilt from spares, if it can be: those are mended.
    """
    files, faults = _present_packs(bundle, range(len(bundle.index.packs)))
    bad = _bad_chunks(bundle, files, progress)
    damages = _small_files(bundle)
    for number in sorted({*faults, *bad}):
        if number not in files:
            chunks = _chunks_of(bundle, number)
            damages.append(_mended(bundle, faults[number], chunks, progress))
            continue
        chunks = bad.get(number, [])
        fault = faults.get(number) or _changed(bundle, files[number], number, chunks)
        damages.append(_mended(bundle, fault, chunks, lambda _size: None))
    damages += _parity_damage(bundle, progress)
    return tuple(damages)


def verify_payload(
    bundle: Bundle, progress: Progress, *, strict: bool = False
) -> Tuple[Damage, ...]:
    """Raise DigestMismatchError or PayloadError naming all that is damaged.

    Returns damage that an install can do without; when `strict`, there is none.
    """
    damages = find_damage(bundle, progress)
    if strict or not all(damage.is_mended for damage in damages):
        _refuse(damages, "Everything else is good.")
    return damages


def verify_outline(bundle: Bundle, digests: Iterable[Digest]) -> None:
    """Raise for what shows before the packs are read: for use before any change.

    Compares the small files, and wants the packs that hold these contents to be
    there in full size, or enough parity to rebuild what is needed of them.
    """
    needed: Dict[int, Set[int]] = {}
    for digest in digests:
        for number in bundle.index.contents[digest].chunks:
            chunk = bundle.index.chunks[number]
            if not chunk.is_base:
                needed.setdefault(chunk.pack, set()).add(number)
    _, faults = _present_packs(bundle, sorted(needed))
    lacking = [
        _lost_beside(bundle, fault, needed[pack])
        for pack, fault in faults.items()
        if not all(bundle.has_spare(number) for number in needed[pack])
    ]
    _refuse((*_small_files(bundle), *lacking), "Nothing was changed.")


def _refuse(damages: Sequence[Damage], rest: str) -> None:
    if not damages:
        return
    message = "\n".join(str(damage) for damage in damages)
    damages = [damage for damage in damages if not damage.is_mended] or damages
    changed = [d for d in damages if d.kind in ("changed", "swapped", "wrong-size")]
    kind = DigestMismatchError if changed else PayloadError
    names = ", ".join(dict.fromkeys(damage.name for damage in damages))
    raise kind(
        f"the bundle is not whole:\n{message}",
        hint=f"Copy {names} to the medium again from where the bundle was built, or "
        f"name every medium that the bundle lies on; then try again. {rest}",
    )


def _small_files(bundle: Bundle) -> List[Damage]:
    return [fault for name in bundle.small_files for fault in _small(bundle, name)]


def _small(bundle: Bundle, name: str) -> Iterator[Damage]:
    try:
        bundle.document(name)
    except SealiftError as error:
        kind = "changed" if isinstance(error, DigestMismatchError) else "missing"
        yield Damage(name, name, kind, error.message)


def _present_packs(
    bundle: Bundle, numbers: Iterable[int]
) -> Tuple[Dict[int, MediaFile], Dict[int, Damage]]:
    files: Dict[int, MediaFile] = {}
    faults: Dict[int, Damage] = {}
    for number in numbers:
        pack = bundle.index.packs[number]
        fault = _absence(bundle, pack.name, pack.size)
        if fault:
            faults[number] = fault
        if not fault or fault.kind != "missing":
            files[number] = bundle.pack_file(number)
    return files, faults


def _absence(bundle: Bundle, name: str, size: int) -> Optional[Damage]:
    """Return what is wrong with a large file that shows before it is read."""
    copies = bundle.media.copies(name)
    if not copies:
        places = ", ".join(bundle.media.places)
        return Damage(name, name, "missing", f"not found on {places}")
    if copies[0].size != size:
        detail = f"has {copies[0].size} bytes where {size} were signed"
        return Damage(name, copies[0].label, "wrong-size", detail)
    return None


def _mended(
    bundle: Bundle, fault: Damage, chunks: Sequence[int], progress: Progress
) -> Damage:
    """Rebuild what a pack lacks, and say in its damage how that went.

    A pack that lacks nothing has bytes too many, which parity cannot take away.
    """
    scratch = Scratch()

    def rebuild(number: int) -> bool:
        size = bundle.index.chunks[number].stored_size
        return bundle.read_spare(number, scratch.take(size))

    with closing(ordered_map(rebuild, chunks if bundle.spares else ())) as rebuilt:
        for number, is_rebuilt in zip(chunks, rebuilt):
            progress(bundle.index.chunks[number].stored_size)
            if not is_rebuilt:
                return _lost_beside(bundle, fault, [number])
    if not (bundle.spares and chunks):
        return fault
    detail = f"{fault.detail}; can be rebuilt from parity"
    return replace(fault, detail=detail, is_mended=True)


def _lost_beside(bundle: Bundle, fault: Damage, chunks: Iterable[int]) -> Damage:
    """Say in the damage of a pack why parity does not help."""
    if not bundle.rebuilder:
        return fault
    why = bundle.rebuilder.why_not(chunks)
    return replace(fault, detail=f"{fault.detail}; {why}")


def _chunks_of(bundle: Bundle, pack: int) -> List[int]:
    return [n for n, chunk in enumerate(bundle.index.chunks) if chunk.pack == pack]


def _parity_damage(bundle: Bundle, progress: Progress) -> Iterator[Damage]:
    """Measure the parity files; an install can do without them."""
    for file in bundle.index.parity.files if bundle.index.parity else ():
        fault = _absence(bundle, file.name, file.size)
        if not fault:
            at = bundle.media.open(file.name)
            bad = bad_blocks(at, file, progress)
            if not bad:
                continue
            detail, ranges = "is not what was signed", _join(bad)
            fault = Damage(file.name, at.label, "changed", detail, ranges)
        detail = f"{fault.detail}; only rebuilding would need it"
        yield replace(fault, detail=detail, is_mended=True)


def _bad_chunks(
    bundle: Bundle, files: Dict[int, MediaFile], progress: Progress
) -> Dict[int, List[int]]:
    """Return the numbers of the bad chunks of each pack that has any."""
    scratch = Scratch()

    def measure(number: int) -> Optional[int]:
        chunk = bundle.index.chunks[number]
        stored = scratch.take(chunk.stored_size)
        try:
            files[chunk.pack].read_into(stored, chunk.offset)
        except PayloadError:
            return number
        return None if digest_of(stored) == chunk.stored_digest else number

    chunks = bundle.index.chunks
    here = [n for n, chunk in enumerate(chunks) if chunk.pack in files]
    bad: Dict[int, List[int]] = {}
    for number, fault in zip(here, ordered_map(measure, here)):
        progress(chunks[number].stored_size)
        if fault is not None:
            bad.setdefault(chunks[number].pack, []).append(number)
    return bad


def _changed(bundle: Bundle, file: MediaFile, pack: int, bad: List[int]) -> Damage:
    name = bundle.index.packs[pack].name
    twin = _twin(bundle, file, name)
    if twin:
        return Damage(name, file.label, "swapped", f"holds the bytes of {twin}")
    users = users_of(bundle.manifest, bundle.index)
    hits: Set[str] = {user for number in bad for user in users.get(number, ())}
    return Damage(
        name,
        file.label,
        "changed",
        "is not what was signed",
        _join(_range(bundle.index.chunks[number]) for number in bad),
        tuple(sorted(hits)),
    )


def _twin(bundle: Bundle, file: MediaFile, name: str) -> str:
    """Return the name of the pack whose bytes these really are, if any."""
    measured = _digest_of_file(file)
    for other, digest in bundle.sums.items():
        if other != name and digest == measured:
            return other
    return ""


def _digest_of_file(file: MediaFile) -> Optional[Digest]:
    state = hashlib.sha256()
    try:
        for offset in range(0, file.size, _BLOCK):
            state.update(file.read_at(offset, min(_BLOCK, file.size - offset)))
    except PayloadError:
        return None
    return from_hex(state.hexdigest())


def _range(chunk: Chunk) -> Tuple[int, int]:
    return chunk.offset, chunk.offset + chunk.stored_size


def _join(parts: Iterable[Tuple[int, int]]) -> Tuple[Tuple[int, int], ...]:
    ranges: List[Tuple[int, int]] = []
    for start, end in parts:
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
    return tuple(ranges)
