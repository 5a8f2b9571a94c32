"""Every foreseen failure, with its exit code.

The one list of exit codes. A raiser says what is so, then what to do next.
Codes and slugs are stable: never reused, never renumbered.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple


class SealiftError(Exception):
    """A foreseen failure: what is so (`message`) and what to do next (`hint`).

    `facts` say the same to machines, where there is more to say than that.
    """

    slug = "error"
    exit_code = 1

    def __init__(
        self, message: str, *, hint: str, facts: Optional[Mapping[str, Any]] = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts: Mapping[str, Any] = facts or {}


class UsageError(SealiftError):
    """The command line asks for something that does not go together."""

    slug = "usage"
    exit_code = 2


# 1x: trust in the bundle


class ManifestError(SealiftError):
    """A signed or stored document does not have the shape its format prescribes."""

    slug = "manifest-invalid"
    exit_code = 10


class UntrustedKeyError(SealiftError):
    """No signature on the bundle was made by a key this host trusts."""

    slug = "untrusted-key"
    exit_code = 11


class DigestMismatchError(SealiftError):
    """Some bytes are not the bytes that were signed."""

    slug = "digest-mismatch"
    exit_code = 12


class SignatureError(SealiftError):
    """A signature is missing, malformed, or does not match what it signs."""

    slug = "signature-invalid"
    exit_code = 13


class FormatVersionError(SealiftError):
    """The bundle needs a newer reader."""

    slug = "format-unknown"
    exit_code = 14


class PayloadError(SealiftError):
    """A file of the bundle is missing, truncated, or cannot be read."""

    slug = "payload-unreadable"
    exit_code = 15


class UnsafePathError(SealiftError):
    """A name in the bundle could lead outside its place or collide with another."""

    slug = "unsafe-path"
    exit_code = 16


class DowngradeError(SealiftError):
    """The bundle's serial is lower than one this host has already had."""

    slug = "downgrade-refused"
    exit_code = 17


class TrustStoreError(SealiftError):
    """The host's own list of trusted keys, or its policy, cannot be used."""

    slug = "trust-store-invalid"
    exit_code = 18


# 2x: sources and the build


class SourceUnreachableError(SealiftError):
    """A registry, hub or engine did not answer, or refused."""

    slug = "source-unreachable"
    exit_code = 20


class RevisionError(SealiftError):
    """A model revision or an image reference does not exist upstream."""

    slug = "revision-unknown"
    exit_code = 21


class ImageBuildError(SealiftError):
    """An image could not be built."""

    slug = "image-build-failed"
    exit_code = 22


class UnpinnedSpecError(SealiftError):
    """The spec asks for something that can mean another thing tomorrow."""

    slug = "unpinned"
    exit_code = 23


class SpecError(SealiftError):
    """The bundle spec or its compose file is wrong."""

    slug = "spec-invalid"
    exit_code = 24


class SourceContentError(SealiftError):
    """A source delivered bytes that are not what it promised, or that are refused."""

    slug = "source-content"
    exit_code = 25


class LockDriftError(SealiftError):
    """`--locked` was asked for, and the sources no longer agree with the lock."""

    slug = "lock-drift"
    exit_code = 26


class OutputError(SealiftError):
    """The place to write to is taken, full, or not writable."""

    slug = "output-unwritable"
    exit_code = 27


class SigningError(SealiftError):
    """A signing key or agent cannot be used."""

    slug = "signing-failed"
    exit_code = 28


# 3x: the host


class PreflightError(SealiftError):
    """The host lacks something that the bundle needs."""

    slug = "preflight-failed"
    exit_code = 30


class BaseMissingError(SealiftError):
    """The host lacks some of the release that a delta builds on."""

    slug = "base-missing"
    exit_code = 31


class SettingsError(SealiftError):
    """What this host decides for a stack is missing, wrong or cannot be read."""

    slug = "settings-invalid"
    exit_code = 32


# 4x: changes to the host


class EngineError(SealiftError):
    """The container engine does not answer or refuses."""

    slug = "engine-failed"
    exit_code = 40


class ImageLoadError(SealiftError):
    """An image did not arrive whole in the engine, or its name is taken."""

    slug = "image-load-failed"
    exit_code = 41


class StagingError(SealiftError):
    """Weights or release files could not be put in their place."""

    slug = "staging-failed"
    exit_code = 42


class StartError(SealiftError):
    """The stack did not start or did not become healthy."""

    slug = "start-failed"
    exit_code = 43


class FellBackError(StartError):
    """A release did not come up, and the one that served before serves again.

    Its exit code is its own: whoever starts stacks at boot must not start this one
    anew, for one serves.
    """

    slug = "fell-back"
    exit_code = 47


class BusyError(SealiftError):
    """Another run holds the lock."""

    slug = "busy"
    exit_code = 44


class NotInstalledError(SealiftError):
    """No such release is installed on this host."""

    slug = "not-installed"
    exit_code = 45


class InUseError(SealiftError):
    """What is to be removed is in use, or holds what Sealift did not make."""

    slug = "in-use"
    exit_code = 46


class RehearsalError(SealiftError):
    """A bundle does not install or start where it was rehearsed."""

    slug = "rehearsal-failed"
    exit_code = 48


class ReachesOutsideError(SealiftError):
    """A rehearsed stack tries to reach what an offline host does not have."""

    slug = "reaches-outside"
    exit_code = 49


# 5x: audit


class DriftError(SealiftError):
    """What is installed is no longer what was signed. `drift` lists each finding."""

    slug = "drift-found"
    exit_code = 50

    def __init__(self, message: str, *, hint: str, drift: Tuple[Any, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.drift = drift
