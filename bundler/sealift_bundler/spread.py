"""How a bundle that is not made yet would lie on media. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sealift_manifests.sizes import human

from sealift_bundler.draft import BF16_RATIO, Draft
from sealift_bundler.media_plan import LargeFile, Layout, Medium, lay_out
from sealift_bundler.media_sizes import (
    expected_packs,
    expected_small_files,
    stick,
    with_parity,
)
from sealift_bundler.media_text import (
    layout_facts,
    layout_lines,
    require_room,
    usual_facts,
    usual_lines,
)
from sealift_bundler.parity import Ratio


@dataclass(frozen=True)
class Spread:
    """The packs and parity files to expect, and where they would lie on these media.

    `most` is before compression, an upper bound; `likely` what bf16 weights usually
    shrink to. `unknown` are the images whose size shows when they are built.
    """

    most: Sequence[LargeFile]
    likely: Sequence[LargeFile]
    small: int
    unknown: Sequence[str]
    media: Sequence[Medium]

    @classmethod
    def of(
        cls,
        found: Draft,
        part_size: int,
        media: Sequence[int],
        parity: Ratio | None = None,
    ) -> Spread:
        """Return what a draft comes to in packs of `part_size` on these sticks."""
        known = [item for item in found.items if item.size is not None]
        most = [(f"{item.kind} {item.name}", item.size or 0) for item in known]
        likely = [(f"{item.kind} {item.name}", item.likely or 0) for item in known]
        small = expected_small_files(sum(size for _, size in most))
        return cls(
            most=with_parity(expected_packs(most, part_size), parity, part_size),
            likely=with_parity(expected_packs(likely, part_size), parity, part_size),
            small=small,
            unknown=[item.name for item in found.items if item.size is None],
            media=[stick(size, small) for size in media],
        )

    @property
    def layout(self) -> Layout:
        """Where the packs lie if nothing shrinks."""
        return lay_out(self.most, self.media)

    @property
    def likely_layout(self) -> Layout:
        """Where they probably lie."""
        return lay_out(self.likely, self.media)

    def require_room(self) -> None:
        """Raise MediaShortError if media were named, and are probably too small."""
        if self.media:
            require_room(self.likely_layout)

    def lines(self) -> list[str]:
        """Return it for people: how many of each size, then what goes where."""
        lines = [] if self.unknown else usual_lines(self.most, self.small)
        size, likely = _size(self.most), _size(self.likely)
        if likely < size:
            lines.append(
                f"  probably   {human(likely)}: bf16 weights usually shrink to "
                f"{BF16_RATIO}"
            )
            if not self.unknown:
                lines += usual_lines(self.likely, self.small)
        return [*lines, *self._media_lines(shrinks=likely < size)]

    def _media_lines(self, *, shrinks: bool) -> list[str]:
        if not self.media:
            return []
        lines = ["on these media, before compression:", *layout_lines(self.layout)]
        if self.layout.left and shrinks:
            lines.append("as the weights will probably shrink:")
            lines += layout_lines(self.likely_layout)
        if not self.layout.left:
            lines.append("they fit")
        elif not self.likely_layout.left:
            lines.append("they fit if the weights shrink as usual, otherwise not")
        if self.unknown:
            lines.append(f"not counted, to be built: {', '.join(self.unknown)}")
        return lines

    def facts(self) -> dict[str, Any]:
        """Return it for machines."""
        facts: dict[str, Any] = {"sticks": {}, "discs": {}}
        if not self.unknown:
            facts = usual_facts(self.most, self.small)
        if self.media:
            facts["media"] = layout_facts(self.layout)
            facts["media_likely"] = layout_facts(self.likely_layout)
        return facts


def _size(files: Sequence[LargeFile]) -> int:
    return sum(file.size for file in files if not file.is_parity)
