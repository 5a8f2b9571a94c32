"""What is said of an unfinished bundle: that it is continued, and that it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sealift_manifests.sizes import human

from sealift_bundler.packs import Resumed
from sealift_bundler.report import Report
from sealift_bundler.target import Target

CONTINUE = "To continue: "


def tell_found(target: Target, report: Report) -> None:
    """Say what an earlier build has left."""
    record = target.record
    if record.refused:
        report.step(
            f"an unfinished build was found and is not continued: {record.refused}"
        )
    elif not record.is_empty:
        report.step(
            f"continuing a build: {human(record.stored_size)} are packed; the sources "
            "are read again and compared"
        )


def tell_resumed(resumed: Resumed, report: Report) -> None:
    """Say how much of it was taken over, and what had changed."""
    text = f"kept {human(resumed.kept)} of packs that were written before"
    if resumed.lost:
        changed = resumed.at or "the end"
        text += (
            f"; {human(resumed.lost)} are packed anew, because what comes at {changed} "
            "is not what came then"
        )
    report.step(text, kept=resumed.kept, lost=resumed.lost, at=resumed.at)


@contextmanager
def kept_is_told(target: Target) -> Iterator[None]:
    """Add to a failure what is kept of the bundle."""
    try:
        yield
    except BaseException as error:
        if size := target.record.stored_size:
            error.add_note(f"{human(size)} of packs are kept in {target.path}")
        raise
