"""Decide whether the signatures on a bundle are enough for this host.

Pure: handed bytes, text and the time. The host's own files say which keys and how many;
nothing that comes with the bundle can add to that. `SHA256SUMS.<signer>.p384.sig` is
made for `openssl dgst` and carries neither key nor namespace: it never counts as a
signature here, but it must agree with the SSHSIG of the same signer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Dict, FrozenSet, Iterable, List, Mapping, Tuple

from . import p384
from .allowed_signers import (
    AllowedSigner,
    SkippedKey,
    parse_allowed_signers,
    read_allowed_signers,
)
from .errors import SignatureError, TrustStoreError, UntrustedKeyError
from .signing_policy import Policy, parse_policy
from .sshsig import (
    ALGORITHMS,
    P384,
    PublicKey,
    fingerprint_of,
    parse_public_keys,
    parse_sshsig,
    verify_sshsig,
)

__all__ = [
    "NAMESPACE",
    "Accepted",
    "AllowedSigner",
    "Policy",
    "Trust",
    "check_signatures",
    "companion_file",
    "is_signature_file",
    "parse_allowed_signers",
    "parse_policy",
    "signature_file",
]

NAMESPACE = "sealift-bundle@v1"

_SIGNATURE_FILE = re.compile(r"SHA256SUMS\.[A-Za-z0-9._-]{1,100}\.sig\Z")
_COMPANION = ".p384.sig"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]\Z")
_DAMAGED = (
    "Copy the bundle from its medium again. If it fails a second time, ask the people "
    "who built it for a new one. Do not install it."
)


def signature_file(signer: str) -> str:
    """Return the name of a signer's SSHSIG file."""
    return f"SHA256SUMS.{signer}.sig"


def companion_file(signer: str) -> str:
    """Return the name of a P-384 signer's DER file, which openssl can verify."""
    return f"SHA256SUMS.{signer}{_COMPANION}"


def is_signature_file(name: str) -> bool:
    """Say whether a file of a bundle, by its name, is a signature of either form."""
    return _SIGNATURE_FILE.match(name) is not None


@dataclass(frozen=True)
class Trust:
    """What a host trusts: keys, fingerprints of keys, and its policy."""

    signers: Tuple[AllowedSigner, ...] = ()
    fingerprints: FrozenSet[str] = frozenset()
    policy: Policy = field(default_factory=Policy)
    skipped: Tuple[SkippedKey, ...] = ()

    @classmethod
    def from_allowed_signers(cls, text: str, where: str) -> Trust:
        """Trust what an `allowed_signers` file lists."""
        found = read_allowed_signers(text, where)
        return cls(signers=found.signers, skipped=found.skipped)

    @classmethod
    def from_key_file(cls, text: str, where: str) -> Trust:
        """Trust the keys of a `.pub` file, without a limit of time or purpose."""
        try:
            keys = parse_public_keys(text)
        except ValueError as error:
            raise TrustStoreError(
                f"{where} is not a usable public key: {error}",
                hint="Give the .pub file of an Ed25519 or ECDSA P-384 key in OpenSSH "
                "form.",
            ) from error
        return cls(signers=tuple(AllowedSigner((), key) for key in keys))

    @classmethod
    def from_fingerprints(cls, fingerprints: Iterable[str]) -> Trust:
        """Trust the keys with these fingerprints; the bundle brings the keys."""
        wanted = frozenset(fingerprints)
        for fingerprint in sorted(wanted):
            if not _FINGERPRINT.match(fingerprint):
                raise TrustStoreError(
                    f"{fingerprint!a} is not a fingerprint of a key",
                    hint="Write it as ssh-keygen -l prints it: SHA256: and 43 letters, "
                    "digits, + and /.",
                )
        return cls(fingerprints=wanted)

    @classmethod
    def combined(cls, parts: Iterable[Trust], policy: Policy) -> Trust:
        """Trust what any of the parts trusts, under one policy."""
        parts = tuple(parts)
        return cls(
            signers=tuple(signer for part in parts for signer in part.signers),
            fingerprints=frozenset().union(*(part.fingerprints for part in parts)),
            policy=policy,
            skipped=tuple(key for part in parts for key in part.skipped),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is no key that a signature could be accepted from."""
        return not (self.signers or self.fingerprints)


@dataclass(frozen=True)
class Accepted:
    """A signature that counts: its file, who made it, and with which key."""

    file: str
    principal: str
    key: PublicKey

    @property
    def algorithm(self) -> str:
        """The type of the key."""
        return self.key.algorithm


class _Refused(Exception):  # noqa: N818
    """Why a good signature does not count on this host."""


def check_signatures(
    sums: bytes, signatures: Mapping[str, bytes], trust: Trust, now: datetime
) -> Tuple[Accepted, ...]:
    """Return the signatures that count, one for each key, or raise.

    Every SSHSIG of a known type must be whole and fit `sums`, whoever made it: a broken
    one means a damaged or forged bundle. Good ones by keys not trusted are ignored.
    """
    if trust.is_empty:
        raise UntrustedKeyError(
            "this host trusts no key yet: no trust, no install",
            hint="Name the keys it shall trust with --allowed-signers, --key or "
            "--fingerprint. They must have come by another way than the bundle.",
        )
    claims = [name for name in sorted(signatures) if not name.endswith(_COMPANION)]
    if not claims:
        raise SignatureError("the bundle has no signature file", hint=_DAMAGED)
    accepted: Dict[PublicKey, Accepted] = {}
    refused: List[str] = []
    for name in claims:
        try:
            one = _check_one(name, sums, signatures[name], trust, now)
        except _Refused as reason:
            refused.append(str(reason))
            continue
        _check_companion(one, sums, signatures)
        accepted.setdefault(one.key, one)
    if len(accepted) < trust.policy.threshold:
        raise _too_few(tuple(accepted.values()), refused, trust)
    return tuple(accepted.values())


def _check_one(
    name: str, sums: bytes, armored: bytes, trust: Trust, now: datetime
) -> Accepted:
    try:
        claim = parse_sshsig(armored)
        if claim.key_type not in ALGORITHMS:
            raise _Refused(_unsupported(claim.key_type, claim.key_blob, trust))
        key = verify_sshsig(armored, sums, NAMESPACE)
    except SignatureError as error:
        raise SignatureError(f"{name!a}: {error.message}", hint=error.hint) from error
    return Accepted(name, _principal(key, trust, now), key)


def _principal(key: PublicKey, trust: Trust, now: datetime) -> str:
    """Return the name under which the host trusts the key now."""
    lines = [signer for signer in trust.signers if signer.key == key]
    objections = [line.objection(NAMESPACE, now) for line in lines]
    known = f"{key.fingerprint} ({key.algorithm})"
    if not lines and key.fingerprint not in trust.fingerprints:
        raise _Refused(f"{known}, which this host does not know")
    if key.algorithm not in trust.policy.algorithms:
        raise _Refused(f"{known}, a type that this host's policy does not accept")
    for line, objection in zip(lines, objections):
        if objection is None:
            return line.name
    if key.fingerprint in trust.fingerprints:
        return key.fingerprint
    raise _Refused(f"{known}: {objections[0]}")


def _unsupported(key_type: str, blob: bytes, trust: Trust) -> str:
    fingerprint = fingerprint_of(blob)
    for skipped in trust.skipped:
        if skipped.fingerprint == fingerprint:
            return (
                f"{fingerprint} ({key_type}), allowed in {skipped.where}, "
                "but of a type that Sealift cannot verify"
            )
    return f"{fingerprint} ({key_type}), a type that Sealift cannot verify"


def _check_companion(
    one: Accepted, sums: bytes, signatures: Mapping[str, bytes]
) -> None:
    name = one.file[: -len(".sig")] + _COMPANION
    if one.algorithm != P384 or name not in signatures:
        return
    if not p384.verify_der(one.key.raw, sums, signatures[name]):
        raise SignatureError(
            f"{name!a}: the signature does not match what it signs", hint=_DAMAGED
        )


def _too_few(
    accepted: Tuple[Accepted, ...], refused: List[str], trust: Trust
) -> UntrustedKeyError:
    lines = ["the bundle was not signed by a key that this host trusts"]
    if trust.policy.threshold > 1:
        lines = [
            f"this host wants signatures by {trust.policy.threshold} trusted keys, "
            f"the bundle has {len(accepted)}"
        ]
    lines += [f"  trusted: {a.key.fingerprint} ({a.principal})" for a in accepted]
    lines += [f"  not counted: {reason}" for reason in refused]
    return UntrustedKeyError(
        "\n".join(lines),
        hint="Ask the people who built the bundle for the fingerprint of their key, by "
        "another way than the medium it came on (a printed slip, a telephone), and "
        "compare all of it. Only if it is the same, add their key to the host's "
        "allowed_signers, or name it with --key or --fingerprint. A signature that is "
        "merely there proves nothing.",
    )
