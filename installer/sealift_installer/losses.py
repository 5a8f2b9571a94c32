"""What the media could not give: which pack on which medium, which bytes, what it hits.

Pure: looks at the bundle's notes of bad copies, reads nothing.
"""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, Set, Tuple

from sealift_manifests.bundle import Bundle, users_of
from sealift_manifests.errors import DigestMismatchError, PayloadError, SealiftError
from sealift_manifests.sizes import human
from sealift_manifests.verification import Damage

from sealift_installer.ranges import Ranges, merged

_CHANGED, _UNREADABLE, _MISSING = "changed", "unreadable", "missing"
_DETAILS = {_CHANGED: "is not what was signed", _UNREADABLE: "cannot be read"}
_Place = Tuple[str, str, str]
"""The name of a pack, the label of its copy, and what is wrong with that."""


def losses(bundle: Bundle, lost: Iterable[int]) -> Tuple[Damage, ...]:
    """Say what is wrong with these chunks, which no medium and no spare has whole."""
    numbers = set(lost)
    places: Dict[_Place, Set[int]] = {}
    for bad in bundle.bad_copies:
        if bad.number in numbers:
            kind = _CHANGED if bad.is_changed else _UNREADABLE
            key = (_pack(bundle, bad.number), bad.file.label, kind)
            places.setdefault(key, set()).add(bad.number)
    tried = set().union(*places.values()) if places else set()
    for number in numbers - tried:
        name = _pack(bundle, number)
        places.setdefault((name, name, _MISSING), set()).add(number)
    users = users_of(bundle.manifest, bundle.index)
    return tuple(
        _damage(bundle, users, key, found) for key, found in sorted(places.items())
    )


def error_of(bundle: Bundle, lost: Iterable[int], *, hint: str) -> SealiftError:
    """Return the one error that tells all of it.

    A DigestMismatchError if something was changed, else a PayloadError.
    """
    found = losses(bundle, lost)
    changed = any(damage.kind == _CHANGED for damage in found)
    kind = DigestMismatchError if changed else PayloadError
    names = ", ".join(dict.fromkeys(damage.name for damage in found))
    text = "\n".join(map(str, found))
    return kind(
        f"the media here do not have all that is needed:\n{text}",
        hint=f"{hint.format(names=names)} What was verified is kept.",
    )


def mended(bundle: Bundle, lost: Iterable[int]) -> Iterator[str]:
    """Yield a warning for each bad copy whose chunks were had from another source."""
    numbers = set(lost)
    found: Dict[Tuple[str, str, str], Set[int]] = {}
    failing = {(bad.file.label, bad.number) for bad in bundle.bad_copies}
    for bad in bundle.bad_copies:
        if bad.number not in numbers:
            giver = _giver(bundle, failing, bad.number)
            key = (bad.file.place, bad.file.label, giver)
            found.setdefault(key, set()).add(bad.number)
    for (place, label, giver), good in sorted(found.items()):
        spans = ", ".join(f"{start}-{end}" for start, end in _ranges(bundle, good)[:8])
        yield f"warning: {place} is failing: {label} bytes {spans}; taken from {giver}"


def needs(bundle: Bundle, lost: Iterable[int]) -> str:
    """Say in one line which packs are still needed, and how much of them."""
    sizes: Dict[str, int] = {}
    for number in sorted(set(lost)):
        size = bundle.index.chunks[number].stored_size
        sizes[_pack(bundle, number)] = sizes.get(_pack(bundle, number), 0) + size
    shown = [f"{name} ({human(size)})" for name, size in sizes.items()]
    rest = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
    return f"{human(sum(sizes.values()))} in {', '.join(shown[:12])}{rest}"


def _damage(
    bundle: Bundle, users: Dict[int, Tuple[str, ...]], key: _Place, numbers: Set[int]
) -> Damage:
    name, label, kind = key
    places = ", ".join(bundle.media.places)
    detail = _DETAILS.get(kind, f"is not on {places}")
    if bundle.rebuilder:
        detail += f"; {bundle.rebuilder.why_not(numbers)}"
    hits: Set[str] = {user for number in numbers for user in users.get(number, ())}
    ranges = _ranges(bundle, numbers)
    return Damage(name, label, kind, detail, ranges, tuple(sorted(hits)))


def _ranges(bundle: Bundle, numbers: Iterable[int]) -> Ranges:
    chunks = [bundle.index.chunks[number] for number in numbers]
    return merged((c.offset, c.offset + c.stored_size) for c in chunks)


def _pack(bundle: Bundle, number: int) -> str:
    return bundle.index.packs[bundle.index.chunks[number].pack].name


def _giver(bundle: Bundle, failing: Set[Tuple[str, int]], number: int) -> str:
    """Return what gave a chunk: the first medium with a good copy, or a spare."""
    if bundle.rebuilder and number in bundle.rebuilder.rebuilt:
        return "parity"
    copies = bundle.media.copies(_pack(bundle, number))
    good: List[str] = [f.place for f in copies if (f.label, number) not in failing]
    return good[0] if good else "a patch"
