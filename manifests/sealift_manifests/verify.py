"""Measure every byte of a bundle and say which are not what was signed.

The chunks cover the packs without gaps, so their digests settle every byte, on
all cores, and name the damaged ranges. The whole-pack digests in SHA256SUMS say
the same to `sha256sum -c`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
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

Progress = Callable[[int], None]
"""Called with the number of bytes that were just dealt with."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Damage:
    """What is wrong with one file of a bundle.

    `kind`: missing, wrong-size, changed, unreadable or swapped. `ranges` are byte
    ranges [start, end) in it; `hits` names the model files and image blobs there.
    """

    name: str
    place: str
    kind: str
    detail: str
    ranges: Tuple[Tuple[int, int], ...] = ()
    hits: Tuple[str, ...] = ()

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
    """Measure every signed file of the bundle; return all that is wrong."""
    files, faults = _present_packs(bundle, range(len(bundle.index.packs)))
    damages = [*_small_files(bundle), *faults]
    bad = _bad_chunks(bundle, files, progress)
    for number, chunks in sorted(bad.items()):
        damages.append(_changed(bundle, files[number], number, chunks))
    return tuple(damages)


def verify_payload(bundle: Bundle, progress: Progress) -> None:
    """Raise DigestMismatchError or PayloadError naming all that is damaged."""
    _refuse(find_damage(bundle, progress), "Everything else is good.")


def verify_outline(bundle: Bundle, digests: Iterable[Digest]) -> None:
    """Raise for what shows before the packs are read: for use before any change.

    Compares the small files, and wants the packs that hold these contents to be
    there in full size.
    """
    chunks, contents = bundle.index.chunks, bundle.index.contents
    wanted = (chunks[n] for digest in digests for n in contents[digest].chunks)
    packs = {chunk.pack for chunk in wanted if not chunk.is_base}
    _, faults = _present_packs(bundle, sorted(packs))
    _refuse((*_small_files(bundle), *faults), "Nothing was changed.")


def _refuse(damages: Sequence[Damage], rest: str) -> None:
    if not damages:
        return
    message = "\n".join(str(damage) for damage in damages)
    changed = [d for d in damages if d.kind in ("changed", "swapped", "wrong-size")]
    kind = DigestMismatchError if changed else PayloadError
    names = ", ".join(dict.fromkeys(damage.name for damage in damages))
    raise kind(
        f"the bundle is not whole:\n{message}",
        hint=f"Copy {names} to the medium again from where the bundle was built, or "
        f"name every medium that the bundle lies on; then try again. {rest}",
    )


def _small_files(bundle: Bundle) -> List[Damage]:
    packs = {pack.name for pack in bundle.index.packs}
    small = [name for name in bundle.sums if name not in packs]
    return [damage for name in sorted(small) for damage in _small(bundle, name)]


def _small(bundle: Bundle, name: str) -> Iterator[Damage]:
    try:
        bundle.document(name)
    except SealiftError as error:
        kind = "changed" if isinstance(error, DigestMismatchError) else "missing"
        yield Damage(name, name, kind, error.message)


def _present_packs(
    bundle: Bundle, numbers: Iterable[int]
) -> Tuple[Dict[int, MediaFile], List[Damage]]:
    files: Dict[int, MediaFile] = {}
    faults: List[Damage] = []
    for number in numbers:
        pack = bundle.index.packs[number]
        try:
            file = bundle.pack_file(number)
        except PayloadError:
            places = ", ".join(bundle.media.places)
            faults.append(
                Damage(pack.name, pack.name, "missing", f"not found on {places}")
            )
            continue
        files[number] = file
        if file.size != pack.size:
            detail = f"has {file.size} bytes where {pack.size} were signed"
            faults.append(Damage(pack.name, file.label, "wrong-size", detail))
            del files[number]
    return files, faults


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
        _join(bundle.index.chunks[number] for number in bad),
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


def _join(chunks: Iterator[Chunk]) -> Tuple[Tuple[int, int], ...]:
    ranges: List[Tuple[int, int]] = []
    for chunk in chunks:
        end = chunk.offset + chunk.stored_size
        if ranges and ranges[-1][1] == chunk.offset:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((chunk.offset, end))
    return tuple(ranges)
