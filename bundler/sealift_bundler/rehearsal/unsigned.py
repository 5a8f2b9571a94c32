"""Rehearse what a build has packed, before it is signed.

The small files are signed with a key that is thrown away and lie in a scratch place;
the packs are read where the build has written them.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sealift_manifests.bundle import MANIFEST_NAME, open_bundle
from sealift_manifests.digests import digest_of
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust

from sealift_bundler.compose import Stack
from sealift_bundler.output import output_faults
from sealift_bundler.report import Report
from sealift_bundler.signed_files import Content, signed_files
from sealift_bundler.signing import throw_away_signer
from sealift_bundler.target import Target

from .run import RehearsalRequest, rehearse, require_stack
from .values import (
    EVIDENCE_FORMAT,
    EVIDENCE_TYPE,
    Evidence,
    RehearsalOptions,
    Rehearsed,
    RehearsedAnswer,
    RehearsedService,
    RehearsedSetting,
)
from .wall import walled_in


def check_rehearsable(name: str, stack: Stack | None) -> None:
    """Tell before the work what a rehearsal would fail for: no stack, no walls."""
    require_stack(name, stack)
    with walled_in():
        pass


def rehearse_unsigned(
    target: Target, content: Content, options: RehearsalOptions, report: Report
) -> Evidence:
    """Rehearse the bundle, and return what that has shown.

    Raises RehearsalError when it does not install or start, ReachesOutsideError when
    somebody tries to get out and none may.
    """
    name = "rehearsal"
    signer = throw_away_signer(name)
    files = signed_files(content, [(name, signer)])
    fingerprint = signer.public_key.fingerprint
    with output_faults(target.path.parent):
        target.finish()
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="sealift-rehearsal-") as folder:
        scratch = Path(folder)
        small = scratch / "bundle"
        small.mkdir()
        for file, data in files.items():
            (small / file).write_bytes(data)
        places = [str(small), str(target.path)]
        with Media(places) as media:
            bundle = open_bundle(media, Trust.from_fingerprints([fingerprint]), began)
            trust = ["--fingerprint", fingerprint]
            request = RehearsalRequest(places, trust, scratch, options)
            done = rehearse(request, bundle, report)
    options.require(done)
    return evidence_of(files[MANIFEST_NAME], began, options, done)


def evidence_of(
    manifest: bytes, began: datetime, options: RehearsalOptions, done: Rehearsed
) -> Evidence:
    """Return what is signed of a rehearsal: with what it was done, what came of it."""
    return Evidence(
        format=EVIDENCE_FORMAT,
        type=EVIDENCE_TYPE,
        manifest=digest_of(manifest),
        began=began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        engine=done.engine,
        watched=options.watch,
        seconds=round(done.seconds),
        services=tuple(
            RehearsedService(service, state)
            for service, state in sorted(done.services.items())
        ),
        answers=tuple(
            RehearsedAnswer(str(asked["name"]), round(1000 * asked["seconds"]))
            for asked in done.smoke
        ),
        attempts=done.attempts,
        settings=tuple(
            RehearsedSetting(name, value)
            for name, _, value in map(_parted, sorted(options.given))
        ),
        accepted=tuple(sorted(done.accepted)),
    )


def _parted(pair: str) -> tuple[str, str, str]:
    return pair.partition("=")
