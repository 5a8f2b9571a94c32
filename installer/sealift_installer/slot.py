"""The media in use, which may be changed for the next ones while an install waits.

With one slot the sticks of a bundle come one after the other, in any order. What is in
the slot is a stick of the bundle that was verified first, or it is not used.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import takewhile
from typing import Dict, FrozenSet, Iterable, Iterator, List, Sequence, Set, Tuple

from sealift_manifests.bundle import Bundle, open_bundle, reopened
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import DigestMismatchError, PayloadError, SealiftError
from sealift_manifests.media import Media
from sealift_manifests.parallel import Scratch, ordered_map
from sealift_manifests.sums import MAX_SUMS, SUMS_NAME
from sealift_manifests.trust import Trust

from sealift_installer.delta import with_base
from sealift_installer.host import Host
from sealift_installer.losses import error_of, losses, needs

_HINT = (
    "Copy {names} to the medium again from where the bundle was built, or give a "
    "medium that has it beside the others; then run the same command again."
)
_SWAP_HINT = (
    "Insert the medium that has {names}, or copy it there again, and run the same "
    "command again. An image that lies on several media is loaded from a terminal, "
    "where you are asked for each, or with all of them at once."
)


class Kept:
    """Stored bytes of small chunks, kept in memory until they are needed."""

    def __init__(self) -> None:
        self._stored: Dict[int, bytes] = {}

    def holds(self, number: int) -> bool:
        """Say whether this chunk is here."""
        return number in self._stored

    def read_stored(self, number: int, target: memoryview) -> bool:
        """Fill `target` with the stored bytes of a chunk; say whether it is here."""
        found = self._stored.get(number)
        if found is not None:
            target[:] = found
        return found is not None

    def take(self, bundle: Bundle, number: int) -> None:
        """Read a chunk from the media; raises what they raise."""
        stored = bytearray(bundle.index.chunks[number].stored_size)
        bundle.read_stored(number, memoryview(stored))
        self._stored[number] = bytes(stored)


class Slot:
    """Holds the open media of a bundle; use it in a `with`.

    With `swap`, media may lack packs: somebody at a terminal is asked for the next,
    while no file of the last is open. `bundle` is that of the media that are in.
    """

    def __init__(self, host: Host, places: Sequence[str], trust: Trust, *, swap: bool):
        self._host = host
        self._trust = trust
        self._home = os.getcwd() if swap else ""
        self._places = [os.path.join(self._home, place) for place in places]
        self._kept = Kept()
        self.is_swapped = swap
        self.asks = swap and host.report.can_ask
        media = Media(self._places)
        try:
            bundle = open_bundle(media, trust, host.now())
        except BaseException:
            media.close()
            raise
        bundle = replace(bundle, spares=(*bundle.spares, self._kept))
        self.bundle = with_base(host.layout, bundle)
        if swap:
            os.chdir("/")  # Or the medium could not be unmounted.

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.bundle.media.close()

    def keep_small(self, digests: FrozenSet[Digest]) -> Tuple[int, ...]:
        """Keep the chunks of small files in memory; return those not to be had here."""
        lost = []
        for number in self._chunks(digests):
            if self._kept.holds(number):
                continue
            try:
                self._kept.take(self.bundle, number)
            except (DigestMismatchError, PayloadError):
                lost.append(number)
        return tuple(lost)

    def has(self, digests: Iterable[Digest]) -> bool:
        """Say whether the media here have a place for all of these files."""
        return not self.lacks(digests)

    def lacks(self, digests: Iterable[Digest]) -> Tuple[int, ...]:
        """Return the chunks of these files that are on no medium here."""
        numbers = self._chunks(digests)
        return tuple(n for n in numbers if not self.bundle.is_at_hand(n))

    def rank(self, digest: Digest) -> int:
        """Say in which order files are best read: whole here, begun here, elsewhere."""
        numbers = self.bundle.index.contents[digest].chunks
        here = [self.bundle.is_at_hand(number) for number in numbers]
        return 0 if all(here) else 1 if here[0] else 2

    def measure(self, digests: Iterable[Digest]) -> Set[int]:
        """Read the chunks of these files; return those that no medium has whole."""
        chunks = self.bundle.index.chunks
        scratch = Scratch()

        def bad(number: int) -> bool:
            try:
                target = scratch.take(chunks[number].stored_size)
                self.bundle.read_stored(number, target)
            except (DigestMismatchError, PayloadError):
                return True
            return False

        numbers = self._chunks(digests)
        found = ordered_map(bad, map(self.bundle.expect, numbers))
        return {n for n, is_bad in zip(numbers, found) if is_bad}

    def read_content(self, digest: Digest) -> Iterator[memoryview]:
        """Yield the plain bytes of a file; ask for each medium that it takes."""
        numbers: Sequence[int] = self.bundle.index.contents[digest].chunks
        done = 0
        while done < len(numbers):
            run = list(takewhile(self.bundle.is_at_hand, numbers[done:]))
            expected = map(self.bundle.expect, run)
            try:
                for plain in ordered_map(self.bundle.read_chunk, expected):
                    yield plain
                    done += 1
            except (DigestMismatchError, PayloadError):
                if not self.asks:
                    raise
            if done < len(numbers):
                gone = [n for n in numbers[done:] if not self.bundle.is_at_hand(n)]
                self.change({numbers[done], *gone})

    def change(self, needed: Set[int]) -> None:
        """Wait for media that have some of these chunks.

        Raises PayloadError or DigestMismatchError, which say all that is wrong, when
        nobody can be asked or nobody has more.
        """
        if not self.asks:
            raise self._error(needed)
        report = self._host.report
        bad = [d for d in losses(self.bundle, needed) if d.kind != "missing"]
        for damage in bad:
            report.step(str(damage))
        report.step(f"still needed: {needs(self.bundle, needed)}")
        error = self._error(needed)
        self.bundle.media.close()
        while True:
            answer = report.ask(
                "The medium can be taken out. Insert the next and press Enter, or type "
                "where it is mounted, or q to stop:"
            )
            if answer is None or answer == "q":
                raise error
            if answer:
                self._places = [os.path.join(self._home, answer)]
            try:
                self._reopen(needed)
                return
            except SealiftError as refusal:
                report.step(f"{refusal.message}\n  {refusal.hint}")

    def _chunks(self, digests: Iterable[Digest]) -> Tuple[int, ...]:
        contents = self.bundle.index.contents
        return tuple(dict.fromkeys(n for d in digests for n in contents[d].chunks))

    def _error(self, needed: Set[int]) -> SealiftError:
        return error_of(
            self.bundle, needed, hint=_SWAP_HINT if self.is_swapped else _HINT
        )

    def _reopen(self, needed: Set[int]) -> None:
        """Open what is in the slot now, if it is of the same bundle and of use."""
        media = Media(self._places)
        try:
            bundle = self._same_bundle(media)
            if not any(map(bundle.is_at_hand, needed)):
                raise PayloadError(
                    f"nothing that is still needed is on {', '.join(self._places)}",
                    hint=f"Still needed: {needs(bundle, needed)}.",
                )
        except BaseException:
            media.close()
            raise
        self.bundle = bundle

    def _same_bundle(self, media: Media) -> Bundle:
        """Return the bundle, read from other media, or say whose these are."""
        manifest = self.bundle.manifest
        copies: List[bytes] = []
        for file in media.copies(SUMS_NAME):
            try:
                copies.append(file.read_all(MAX_SUMS))
            except PayloadError:
                continue  # Another copy may do; if none does, this is told below.
        if any(digest_of(data) == self.bundle.root for data in copies):
            return reopened(self.bundle, media, self._trust, self._host.now())
        other = open_bundle(media, self._trust, self._host.now()).manifest
        raise PayloadError(
            f"this is {other.name} {other.version} (serial {other.serial}), not "
            f"{manifest.name} {manifest.version} (serial {manifest.serial})",
            hint=f"Insert a medium of {manifest.name} {manifest.version}.",
        )
