"""What was found on the media of a bundle, and what it comes to. Pure.

A copy may be bad while another is good: then the bundle is whole, and a medium is to
be replaced. Both are said, for each medium.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from sealift_manifests.errors import DigestMismatchError, PayloadError, SealiftError
from sealift_manifests.repair import ranges_of
from sealift_manifests.sizes import counted

Ranges = Tuple[Tuple[int, int], ...]
"""Byte ranges [start, end) of a file."""


@dataclass(frozen=True)
class Damage:
    """What is wrong with one copy of a file, or with a file that no medium has.

    `place` is where the copy lies. `kind`: missing, wrong-size, changed, unreadable or
    swapped. `ranges` are byte ranges [start, end) in it; `hits` names the model files
    and image blobs there.
    """

    name: str
    place: str
    kind: str
    detail: str
    ranges: Ranges = ()
    hits: Tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in one line, for people."""
        text = f"{self.place}: {self.detail}"
        if self.ranges:
            text += f" (bytes {spans(self.ranges)})"
        if self.hits:
            shown = ", ".join(self.hits[:4])
            rest = f" and {len(self.hits) - 4} more" if len(self.hits) > 4 else ""
            text += f"; hits {shown}{rest}"
        return text


@dataclass(frozen=True)
class MediumReport:
    """What one medium holds: good packs by number (from 0), good small files, damage.

    `patched` is how many chunks it has for the bundle if it is a patch, else None.
    `parity`: its good parity files.
    """

    place: str
    packs: Tuple[int, ...]
    files: Tuple[str, ...]
    damages: Tuple[Damage, ...]
    patched: Optional[int] = None
    parity: Tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield what there is to say about it, the first line with its name."""
        good = []
        if self.patched is not None:
            good.append(f"a patch of {counted(self.patched, 'chunk')}")
        if self.packs:
            word = "pack" if len(self.packs) == 1 else "packs"
            good.append(f"{word} {_numbers(self.packs)}")
        if self.parity:
            good.append(counted(len(self.parity), "parity file"))
        if self.files:
            good.append(counted(len(self.files), "small file"))
        yield f"{self.place}: {', '.join(good) or 'nothing'} good"
        for damage in self.damages:
            yield f"  BAD  {damage}"


@dataclass(frozen=True)
class Lack:
    """A file that all sources together do not give as it was signed.

    `ranges` are what is lacking of a pack of which a part is there. `is_here`: some
    medium has a copy, a bad one; `is_changed`: it differs, and is not only cut short
    of reading. `why` parity does not give it.
    """

    name: str
    ranges: Ranges = ()
    hits: Tuple[str, ...] = ()
    is_here: bool = False
    is_changed: bool = False
    why: str = ""

    def __str__(self) -> str:
        """Return what is needed, for people."""
        ranges = [f"bytes {spans(self.ranges)}"] if self.ranges else []
        more = "; ".join([*ranges, *([self.why] if self.why else [])])
        return f"{self.name} ({more})" if more else self.name


@dataclass(frozen=True)
class Verification:
    """What measuring all copies of all files came to.

    `mended_packs` are packs that no medium has whole, and how many chunks of each a
    patch or parity gave.
    `absent_parity`: parity files that are on no medium; nothing needs them now.
    """

    media: Tuple[MediumReport, ...]
    lacks: Tuple[Lack, ...]
    mended_packs: Tuple[Tuple[str, int], ...] = ()
    absent_parity: Tuple[str, ...] = ()

    @property
    def mended(self) -> int:
        """How many chunks no medium has whole and a patch or parity gave."""
        return sum(chunks for _, chunks in self.mended_packs)

    @property
    def damages(self) -> Tuple[Damage, ...]:
        """All that is wrong, medium by medium, then the files that are on none."""
        found = [damage for medium in self.media for damage in medium.damages]
        places = ", ".join(one.place for one in self.media if one.patched is None)
        found += [
            Damage(lack.name, lack.name, "missing", f"not found on {places}")
            for lack in self.lacks
            if not lack.is_here
        ]
        return tuple(found)

    @property
    def absent(self) -> Tuple[str, ...]:
        """The files that are on no medium here: maybe on one that was not given."""
        return tuple(lack.name for lack in self.lacks if not lack.is_here)

    @property
    def bad_places(self) -> Tuple[str, ...]:
        """The media that hold a bad copy."""
        return tuple(medium.place for medium in self.media if medium.damages)

    @property
    def verdict(self) -> str:
        """What it comes to once `require` was satisfied."""
        if self.absent:
            return "what is here is good, and the rest is elsewhere"
        return "good, all copies taken together" if self.bad_places else "good"

    def lines(self) -> List[str]:
        """Return what each medium holds and what none does, for people."""
        lines = [line for medium in self.media for line in medium.lines()]
        if self.absent:
            places = ", ".join(one.place for one in self.media if one.patched is None)
            lines.append(f"not found on {places}: {', '.join(self.absent)}")
        return lines

    def warnings(self) -> List[str]:
        """Return what is to be done although the bundle is whole."""
        bad, lines = self.bad_places, []
        if bad:
            lines.append(
                f"WARNING: {', '.join(bad)}: not all of it is what was signed. What is "
                "bad there was good elsewhere. Replace that medium, or copy these "
                "files to it again."
            )
        if self.mended_packs:
            names = ", ".join(name for name, _ in self.mended_packs)
            lines.append(
                f"{counted(self.mended, 'chunk')} of {names} that no medium has whole "
                "came from a patch or were rebuilt from parity: keep these with the "
                "media."
            )
        if self.absent_parity:
            names = ", ".join(self.absent_parity)
            lines.append(f"not here: {names}; only rebuilding would need it")
        return lines

    def require(self, *, ignore_missing: bool = False) -> None:
        """Raise DigestMismatchError or PayloadError unless all of the bundle is whole.

        With `ignore_missing` files that are on no medium here are not asked for.
        """
        lacks = [one for one in self.lacks if one.is_here or not ignore_missing]
        if not lacks:
            return
        raise refusal(lacks, self.lines(), self.facts())

    def facts(self) -> Dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "media": [asdict(medium) for medium in self.media],
            "lacks": [asdict(lack) for lack in self.lacks],
            "mended": self.mended,
            "mended_packs": dict(self.mended_packs),
            "bad_media": list(self.bad_places),
            "absent_parity": list(self.absent_parity),
        }


def refusal(
    lacks: Sequence[Lack], text: Iterable[str], facts: Dict[str, Any], end: str = ""
) -> SealiftError:
    """Return the error for a bundle that is not whole; `end` is added to its hint."""
    changed = any(lack.is_changed for lack in lacks)
    kind = DigestMismatchError if changed else PayloadError
    lines, needed = "\n".join(text), ", ".join(map(str, lacks))
    return kind(
        f"the bundle is not whole:\n{lines}\nneeded: {needed}",
        hint="Copy these to the medium again from where the bundle was built, or name "
        "every medium that the bundle lies on. `sealift-installer repair-request` "
        f"writes down what a patch must bring.{end}",
        facts=facts,
    )


def spans(ranges: Ranges) -> str:
    """Return byte ranges for people, the first few of them."""
    shown = ", ".join(f"{start}-{end}" for start, end in ranges[:8])
    return shown + (", ..." if len(ranges) > 8 else "")


def _numbers(packs: Iterable[int]) -> str:
    """Return numbers of packs for people, counted from 1: `1-3, 5`."""
    return ", ".join(
        f"{first + 1}-{end}" if end - first > 1 else f"{first + 1}"
        for first, end in ranges_of(packs)
    )
